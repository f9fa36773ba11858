"""Who stands in front of us? ``[proxy]``"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tokenward.server.config import Report, fill, spelled
from tokenward.server.proxy import Proxy, networks

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_TAKEN = frozenset({"authorization", "host", "content-length", "content-type", "x-forwarded-for"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTable:
    """``[proxy]``"""

    trusted: tuple[str, ...]
    """Addresses and networks of the proxies in front of this server, such as `10.0.0.0/8`. What
    they say in `X-Forwarded-For` counts; what anybody else says there does not."""

    certificate_header: str = ""
    """The header in which they pass on the certificate that a client showed them, such as
    `Client-Cert` (RFC 9440). They must remove it from what clients send."""

    def __post_init__(self) -> None:
        if not self.trusted:
            raise ValueError("trusted: at least one address or network is needed")
        try:
            found = networks(self.trusted)
        except ValueError as exc:
            raise ValueError(f"trusted: {exc}") from None
        if any(network.prefixlen == 0 for network in found):
            raise ValueError("trusted: everybody would be a proxy of yours")
        header = self.certificate_header
        if header and (not _HEADER.fullmatch(header) or header.lower() in _TAKEN):
            raise ValueError("certificate_header: must be the name of a header of its own")

    def proxy(self) -> Proxy:
        """What the server works with."""
        return Proxy(
            trusted=networks(self.trusted),
            certificate_header=self.certificate_header.lower().encode(),
        )


def read_proxy(table: Mapping[str, object] | None, report: Report) -> Proxy | None:
    """What the table says; ``None`` if there is none, so that nobody's headers count."""
    if table is None:
        return None
    at = ("proxy",)
    read = fill(ProxyTable, spelled(table, at, report, ProxyTable), at, report)
    return read.proxy() if read is not None else None
