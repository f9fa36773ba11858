"""Where do traces go? ``[otel]``"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated
from urllib.parse import urlsplit

from tokenward.remote.discovery import check_url
from tokenward.server.config import Report, fill, spelled
from tokenward.server.values import refusal

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TAKEN = frozenset({"content-type", "content-length", "content-encoding", "host"})
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.common")


def share(value: object) -> float:
    """A part of a whole, from 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise refusal(value, "a number from 0 to 1 such as 0.1")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelSettings:
    """``[otel]``"""

    endpoint: str
    """Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`; if
    there is no path, it is `/v1/traces`."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the collector wants to be shown, such as `{ "api-key" = "${OTEL_KEY}" }`. With headers
    the endpoint must be https, or on this machine."""

    service: str = "tokenward"
    """What this server is called in traces (`service.name`)."""

    sampled: Annotated[float, share] = 1.0
    """Which part of all requests is traced, from 0 to 1, `1` unless said. Where a proxy in
    `[proxy]` sends a `traceparent`, its decision counts instead."""

    subject: bool = False
    """Whether traces say for whom a token was (`user.id`). Not unless said: who may read traces
    may not be meant to know."""

    def __post_init__(self) -> None:
        secure = True
        try:
            check_url(self.endpoint)
        except ValueError as fault:
            # Collectors mostly listen within the house, and nothing in a trace is a secret.
            secure = not self.endpoint.startswith("http://")
            try:
                if secure:
                    raise
                check_url(f"https{self.endpoint.removeprefix('http')}")
            except ValueError:
                raise ValueError(f"endpoint: {fault}") from None
        if self.headers and not secure:
            raise ValueError("endpoint: must be https if there are headers; they may be secrets")
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or name.lower() in _TAKEN or not _VALUE.fullmatch(value):
                raise ValueError("headers: must be names and values that HTTP can carry")
        if not self.service.strip():
            raise ValueError("service: is empty")
        if not _installed():
            raise ValueError("otel is an extra: pip install 'tokenward[server,otel]'")

    @property
    def url(self) -> str:
        """Where spans are posted (OTLP/HTTP)."""
        parts = urlsplit(self.endpoint)
        return (
            parts._replace(path="/v1/traces").geturl()
            if parts.path in ("", "/")
            else (self.endpoint)
        )


def read_otel(table: Mapping[str, object] | None, report: Report) -> OtelSettings | None:
    """What the table says; ``None`` if there is none, and then nothing is traced."""
    if table is None:
        return None
    at = ("otel",)
    headers = table.get("headers")
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if type(value) is str and value:  # what came from a variable is of another type
            report.hidden[value] = "…"
            report.warn(
                (*at, "headers", name),
                "may be a secret, and it is written into the file itself",
                'write "${OTEL_KEY}" and put it into .env.local, or mount it',
            )
    return fill(OtelSettings, spelled(table, at, report, OtelSettings), at, report)


def _installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _NEEDED)
    except ImportError:  # not even what it would be in
        return False
