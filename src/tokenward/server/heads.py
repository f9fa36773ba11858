"""The head of a request: whether everybody who reads it would read the same.

The parser (llhttp) is strict about framing by itself: it refuses Content-Length together with
Transfer-Encoding or twice, bare CR and LF, folded lines, and control characters. What it lets
pass is looked at here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

# A path, perhaps a query, no fragment (RFC 9112 §3.2.1), or after an authority that counts for
# nothing: the absolute form (§3.2.2: "a server MUST accept").
_AUTHORITY = rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"
_TARGET: Final = re.compile(rb"(?:(?i:https?)://" + _AUTHORITY + rb")?/[!\"$-~]*")
_HOST: Final = re.compile(_AUTHORITY)


class Head:
    """The heads of one connection, which mostly resemble each other."""

    __slots__ = ("_host", "_target", "fields")

    def __init__(self) -> None:
        self._target = self._host = b""
        self.fields: Mapping[bytes, bytes] = {}
        """The headers by name; the last of each if one came more than once."""

    def read(self, target: bytes, headers: Sequence[tuple[bytes, bytes]], version: str) -> bool:
        """Whether it can be understood in one way only."""
        fields = self.fields = dict(headers)
        if len(fields) < len(headers):
            names = [name for name, _ in headers]
            if names.count(b"host") > 1 or names.count(b"transfer-encoding") > 1:
                return False
        if target != self._target:
            if not _TARGET.fullmatch(target):
                return False
            self._target = target
        # RFC 9112 §3.2: 400 to HTTP/1.1 without a Host, and to any Host that is none.
        host = fields.get(b"host")
        if host is None:
            if version == "1.1":
                return False
        elif host != self._host:
            if not _HOST.fullmatch(host):
                return False
            self._host = host
        # RFC 9112 §6.1: chunked or nothing, and nothing from HTTP/1.0.
        coding = fields.get(b"transfer-encoding")
        return coding is None or (version == "1.1" and coding.lower() == b"chunked")


def without_upgrade(
    method: bytes, target: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]
) -> bytes:
    """The head again, as if it did not offer another protocol (RFC 9110 §7.8: we may).

    The parser takes the body of such a request for the other protocol, and there are clients that
    offer HTTP/2 with every first request.
    """
    lines = [method + b" " + target + b" HTTP/" + version.encode()]
    lines += [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
