"""A request and its answer, as bytes: what endpoints speak, whatever carries it.

Law of this module: no transport, no framework. The hot paths go from ``Received`` to ``Answer``
and can be carried by ASGI or by anything faster.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tokenward.oauth.errors import InvalidRequest

Headers = Iterable[tuple[bytes, bytes]]


class Received(NamedTuple):
    """A request whose body has arrived in full."""

    method: str
    path: str
    query: bytes = b""
    headers: Headers = ()
    """Names in lower case, as they came."""

    body: bytes = b""
    address: str = ""
    """Where it came from, as far as the transport can say."""

    id: str = ""
    """Names this request in the answer, the log and the audit trail."""

    certificate: str = ""
    """The certificate that the client showed to our own TLS listener, in PEM; ``""`` if none."""

    single: Mapping[bytes, bytes] | None = None
    """The headers by name, if it is known that none came twice."""

    vouched: bool = False
    """Whether one of our own proxies has passed it on, so that what proxies say may count."""

    def header(self, name: bytes) -> str:
        """The header's value, or ``""``; raises ``InvalidRequest`` if it came twice."""
        found = None
        if self.single is not None:
            found = self.single.get(name)
        else:
            for key, value in self.headers:
                if key == name:
                    if found is not None:
                        raise InvalidRequest(f"the header {name.decode()} came more than once")
                    found = value
        return "" if found is None else found.decode("latin-1").strip(" \t")

    def __repr__(self) -> str:
        """Without query, headers and body, in which there are secrets."""
        return f"Received({self.method!r}, {self.path!r}, from {self.address!r}, {self.id!r})"


class Answer(NamedTuple):
    """What goes back: status, headers (without those every answer has), body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
NO_STORE = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
