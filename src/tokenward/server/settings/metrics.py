"""Who may see the numbers? ``[metrics]``"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.server.config import Report, fill, spelled

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """``[metrics]``"""

    secrets: tuple[str, ...] = field(repr=False)
    """`sha256:…` of each secret that opens `/metrics`, as `tokenward hash` prints it; Prometheus
    shows the secret itself as a bearer token."""

    def __post_init__(self) -> None:
        if not self.secrets:
            raise ValueError("secrets: at least one is needed; make one with: tokenward hash")
        if not all(map(_HASH.fullmatch, self.secrets)):
            raise ValueError(
                "secrets: not a hash such as sha256:<64 hex digits>; make one with: tokenward hash"
            )

    def digests(self) -> tuple[bytes, ...]:
        """The hashes as bytes."""
        return tuple(bytes.fromhex(known.removeprefix("sha256:")) for known in self.secrets)


def read_metrics(table: Mapping[str, object] | None, report: Report) -> MetricsSettings | None:
    """What the table says; ``None`` if there is none, so that nobody sees a number."""
    if table is None:
        return None
    at = ("metrics",)
    return fill(MetricsSettings, spelled(table, at, report, MetricsSettings), at, report)
