"""Which path leads where, and what there is to say about it that no request can change."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tokenward.server.endpoints import NEVER, PUBLIC, REGISTERED, Endpoint
from tokenward.server.http import JSON, Answer

Pairs = tuple[tuple[bytes, bytes], ...]

_EXPOSE = (b"access-control-expose-headers", b"WWW-Authenticate, Retry-After, X-Request-Id")
_SHARING: dict[str, Pairs] = {
    PUBLIC: ((b"access-control-allow-origin", b"*"), _EXPOSE),
    REGISTERED: ((b"vary", b"Origin"),),
    NEVER: (),
}
_OFFER: Pairs = (
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-max-age", b"600"),
)

REST = "/*"
"""The end of a path whose last segment can be anything: for what is secret in it."""

# A path that nobody can read as another one: no escapes, no empty or dot segments, no parameters.
_PLAIN = re.compile(r"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_~.@:+,=!$&'()*-]+)+/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path and its endpoint."""

    path: str
    raw: bytes
    """The path on the wire."""

    endpoint: Endpoint
    methods: frozenset[str]
    refusal: Answer
    """To other methods (RFC 9110 §15.5.6)."""

    options: Answer
    """To OPTIONS, which is how browsers ask beforehand (Fetch, CORS-preflight request)."""

    sharing: Pairs
    """What pages hear about reading the answers, whoever they are."""

    registered: bool
    """Whether pages of registered origins may read the answers."""

    @property
    def above(self) -> str:
        """Of ``/above/*``, which leads to one endpoint whatever the last segment is: ``/above``;
        ``""`` of all others."""
        return self.path.removesuffix(REST) if self.path.endswith(REST) else ""

    @classmethod
    def to(cls, path: str, endpoint: Endpoint) -> Self:
        """The route to this endpoint; raises ``ValueError`` for what cannot be one."""
        if not plain(path, None):
            raise ValueError(f"{path!r} could be read as another path")
        sharing = _SHARING.get(endpoint.cors)
        if sharing is None:
            raise ValueError(f"{path}: there is no CORS policy {endpoint.cors!r}")
        methods = endpoint.methods | ({"HEAD"} if "GET" in endpoint.methods else frozenset())
        listed = ", ".join(sorted({*methods, "OPTIONS"}))
        allow = (b"allow", listed.encode())
        offer = ((b"access-control-allow-methods", listed.encode()), *_OFFER)
        refusal = error(405, "method_not_allowed", f"The methods here are {listed}")
        return cls(
            path=path,
            raw=path.encode(),
            endpoint=endpoint,
            methods=frozenset(methods),
            refusal=refusal._replace(headers=(*refusal.headers, allow)),
            options=Answer(204, (allow, *(offer if sharing else ())), b""),
            sharing=sharing,
            registered=endpoint.cors == REGISTERED,
        )


def plain(path: str, raw: bytes | None) -> bool:
    """Whether this path, ``raw`` on the wire if we know, can be read in one way only."""
    return bool(_PLAIN.fullmatch(path)) and raw in (None, path.encode())


def below(branches: Mapping[str, Route], path: str, raw: bytes | None) -> Route | None:
    """Where a path leads that nothing else has, if it can be read in one way only."""
    route = branches.get(path.rpartition("/")[0]) if branches else None
    return route if route is not None and plain(path, raw) else None


def permissions(origins: frozenset[str]) -> dict[bytes, Pairs]:
    """What the pages of each of these origins hear about reading an answer."""
    # "null" is the origin of every sandboxed page and of every file: nobody's in particular.
    return {
        origin.encode(): ((b"access-control-allow-origin", origin.encode()), _EXPOSE)
        for origin in origins - {"null", "*", ""}
    }


def error(status: int, code: str, description: str) -> Answer:
    """An error that no RFC of OAuth knows, said as if one did."""
    body = f'{{"error": "{code}", "error_description": "{description}"}}'
    return Answer(status, (JSON,), body.encode())
