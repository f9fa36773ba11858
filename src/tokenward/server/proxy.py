"""What a proxy in front of us says about the client, believed only if it is one of ours.

Law of this module: whoever can reach us can write any header, so headers of this kind count only
if they come from an address that the operator trusts, and only the part that our own proxies wrote.
"""

from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from ssl import DER_cert_to_PEM_cert
from typing import TypeAlias
from urllib.parse import unquote

from tokenward.server.http import Received

Network: TypeAlias = IPv4Network | IPv6Network

LONGEST_CERTIFICATE = 16 * 1024
MOST_HOPS = 16

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxies in front of us."""

    trusted: tuple[Network, ...]
    certificate_header: bytes = b""
    """In lower case; empty if none of them tells of certificates."""

    def told(self, received: Received) -> Received:
        """The request as the client made it, if it came through one of ours.

        Raises ``InvalidRequest`` if the header with the certificate came twice.
        """
        if not self._is_ours(received.address):
            return received
        address = self._client(received)
        certificate = received.certificate
        if self.certificate_header:
            certificate = certificate_in(received.header(self.certificate_header))
        return received._replace(address=address, certificate=certificate, vouched=True)

    def _client(self, received: Received) -> str:
        """The last address that is not a proxy of ours; everything before it anybody may write."""
        # Some proxies add a header of their own to the one that came (RFC 9110 §5.3: one list).
        lines = [value for name, value in received.headers if name == b"x-forwarded-for"]
        said = b",".join(lines).decode("latin-1")
        address = received.address
        for hop in [one.strip() for one in said.split(",")][::-1][:MOST_HOPS]:
            if (known := _address(hop)) == "":
                break
            address = known
            if not self._is_ours(known):
                break
        return address

    def _is_ours(self, address: str) -> bool:
        try:
            it = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(it, "ipv4_mapped", None)
        return any((mapped or it) in network for network in self.trusted)


def certificate_in(header: str) -> str:
    """The certificate in a header as PEM; ``""`` if there is none that can be read.

    As RFC 9440 §2.1 has it (``:base64 of DER:``), or as PEM in percent-encoding, which is what
    nginx (``$ssl_client_escaped_cert``) and others send.
    """
    if not header or len(header) > LONGEST_CERTIFICATE:
        return ""
    if header.startswith(":") and header.endswith(":") and len(header) > 1:
        try:
            return DER_cert_to_PEM_cert(a2b_base64(header[1:-1], strict_mode=True))
        except ValueError:
            return ""
    text = unquote(header, errors="replace").strip()
    whole = text.startswith(_BEGIN) and text.endswith(_END) and text.count(_BEGIN) == 1
    return text + "\n" if whole and text.isascii() else ""


def networks(written: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks such as ``10.0.0.0/8``; raises ``ValueError`` naming what is none."""
    found = []
    for text in written:
        try:
            found.append(ip_network(text))
        except ValueError:
            raise ValueError(f"{text} is neither an address nor a network") from None
    return tuple(found)


def _address(hop: str) -> str:
    """An address as it stands in X-Forwarded-For, perhaps with a port; ``""`` for anything else."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ip_address(hop))
    except ValueError:
        return ""
