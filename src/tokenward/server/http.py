"""A request and its answer, as bytes: what endpoints speak, whatever carries it.

Law of this module: no transport, no framework. The hot paths go from ``Received`` to ``Answer``
and can be carried by ASGI or by anything faster.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tokenward.oauth.errors import InvalidRequest

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request whose body has arrived in full."""

    method: str
    path: str
    query: bytes = field(default=b"", repr=False)
    headers: Headers = field(default=(), repr=False)
    """Names in lower case, as they came."""

    body: bytes = field(default=b"", repr=False)
    address: str = ""
    """Where it came from, as far as the transport can say."""

    id: str = ""
    """Names this request in the answer, the log and the audit trail."""

    def header(self, name: bytes) -> str:
        """The header's value, or ``""``; raises ``InvalidRequest`` if it came twice."""
        found = [value for key, value in self.headers if key == name]
        match found:
            case []:
                return ""
            case [value]:
                return value.decode("latin-1").strip(" \t")
        raise InvalidRequest(f"the header {name.decode()} came more than once")


class Answer(NamedTuple):
    """What goes back: status, headers (without those every answer has), body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
NO_STORE = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
