"""What a client says to a hub, frame by frame: metadata, messages, the end."""

from tests.hub import END, block, message, metadata
from tokenward.server.hub.grpcweb import (
    LONGEST_FRAME,
    LONGEST_MESSAGE,
    MOST_MESSAGES,
    Malformed,
    Reader,
    Request,
)

_APART = b"\xfe\xfd"
"""Between frames."""

SEEDS = (
    _APART.join([block(metadata()), message(1, b"bbaareiabc"), message(2, b"s" * 64), END]),
    _APART.join([b"a: b\r\n", b"\0\0\0\0", b"\0\0\0", END]),
    _APART.join([b"", message(None, b""), END]),
)
WORDS = (
    _APART,
    b"\0\0\0\0\0\0",
    b"\0\0\0\0\0\x02\x0a\x00",
    b"\0\0\0\0\0\x02\x12\x00",
    b"\0\0\xff\xff\xff\xff",
    b"\0\x80",
    b"\x01",
    b": ",
    b"\r\n",
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"x-textile-api-key: b\r\n",
)


def attempt(data: bytes) -> None:
    reader, found = Reader(), []
    try:
        for frame in data.split(_APART):
            found += reader.feed(frame)
            assert len(reader._rest) <= LONGEST_MESSAGE + LONGEST_FRAME
    except Malformed as refused:
        assert str(refused).isascii()
        assert not any(word in str(refused) for word in ("x-textile", "bbaarei"))
    assert isinstance(found[0] if found else {}, dict)
    requests = [one for one in found if isinstance(one, Request)]
    assert len(requests) <= MOST_MESSAGES
    for one in requests:
        assert not (one.key and one.signature)
        assert len(one.key.encode()) + len(one.signature) <= len(data)
    for name, value in (found[0] if found else {}).items():
        assert name == name.lower()
        assert (name + value).isprintable()
