"""The head of an answer in bytes; most of it is the same for everybody for a second or so."""

from http import HTTPStatus

from tokenward.server.http import Headers

_STATUS = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}

_MOST_ENCODED = 256
_encodings: dict[int, tuple[Headers, bytes]] = {}
_heads: dict[int, tuple[int, Headers, Headers, bytes]] = {}


def encoded(headers: Headers) -> bytes:
    """These headers on the wire; most are the very same ones every time."""
    known = _encodings.get(id(headers))
    if known is not None and known[0] is headers:
        return known[1]
    encoded = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    if len(_encodings) >= _MOST_ENCODED:
        _encodings.clear()
    _encodings[id(headers)] = headers, encoded
    return encoded


def beginning(status: int, standing: Headers, dressed: Headers) -> bytes:
    """The head of an answer as far as it is the same for a second or so."""
    known = _heads.get(id(dressed))
    if known is not None and known[0] == status and known[1] is standing and known[2] is dressed:
        return known[3]
    head = _STATUS[status] + encoded(standing) + encoded(dressed)
    if len(_heads) >= _MOST_ENCODED:
        _heads.clear()
    _heads[id(dressed)] = status, standing, dressed, head
    return head
