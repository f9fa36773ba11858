"""How much of us one connection may take, and what it hears if it wants more."""

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from tokenward.server.http import JSON, Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In seconds, bytes and pieces."""

    head: float = 5.0
    """Until the head of a request is complete."""

    body: float = 10.0
    """From there until its body is complete."""

    idle: float = 5.0
    """Between an answer and the next request."""

    write: float = 10.0
    """In which the client must have taken a part of what we wrote."""

    leave: float = 1.0
    """For the client to hear a refusal, before the connection is cut."""

    longest_target: int = 8 * 1024
    """The path and the query."""

    longest_head: int = 32 * 1024
    """All header fields together."""

    most_fields: int = 100
    longest_request: int = 1024 * 1024
    """Everything, as it comes over the wire; applications may want less."""

    most_ignored: int = 32 * 1024 * 1024
    """What a client that has been refused may still send until it hears so."""

    most_pipelined: int = 16
    """Requests that wait for the answer to an earlier one of their connection."""

    most_connections: int = 800
    """Of all clients together, in this process; the next are told to come again."""

    most_per_address: int = 800
    """Of one client, as far as its address can tell; of all behind it, if it is a proxy."""

    most_refused: int = 64
    """Connections that may be told so at a time; the rest are cut off."""

    def shortest(self) -> float:
        """The shortest of the times."""
        return min(self.head, self.body, self.idle, self.write, self.leave)


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many connections there are, by whom they are of."""

    _present: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> int:
        """Count one more from this address; how many there are now."""
        whose = household(address)
        self._present[whose] += 1
        return self._present[whose]

    def leave(self, address: str) -> None:
        """Count one less."""
        whose = household(address)
        self._present[whose] -= 1
        if not self._present[whose]:
            del self._present[whose]


def household(address: str) -> str:
    """Whom an address belongs to: who has one of IPv6 has the other 2**64 of its network, too."""
    if ":" not in address:
        return address
    try:
        it = ip_address(address)
    except ValueError:
        return address
    mapped = it.ipv4_mapped if isinstance(it, IPv6Address) else None
    return str(mapped) if mapped else it.packed[:8].hex(":", 2) + "::/64"


_SAID = {
    400: ("invalid_request", "This is not a request that can be understood in one way only"),
    408: ("invalid_request", "The request did not arrive in time"),
    413: ("invalid_request", "The request is too large"),
    414: ("invalid_request", "The URL is too long"),
    431: ("invalid_request", "The headers are too large"),
    503: ("temporarily_unavailable", "There are too many connections; ask again"),
    505: ("invalid_request", "This server speaks HTTP/1.1"),
}


def refusal(status: int, headers: Headers) -> bytes:
    """The whole answer on the wire, with these headers besides its own."""
    error, description = _SAID[status]
    body = f'{{"error": "{error}", "error_description": "{description}"}}'.encode()
    fields = [
        *headers,
        JSON,
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields.append((b"retry-after", b"1"))
    phrase = HTTPStatus(status).phrase.encode()
    head = [b"HTTP/1.1 %d %s" % (status, phrase)]
    head += [name + b": " + value for name, value in fields]
    return b"\r\n".join([*head, b"", body])
