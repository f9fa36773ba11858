"""What arrives on a WebSocket of ours (RFC 6455 §5), in one piece or cut in two."""

import asyncio
import logging

from websockets.protocol import CLIENT, Protocol

from tests.hub import END, framed, message
from tests.server.test_websocket import OPENING, House, Wire
from tokenward.server.http import Received
from tokenward.server.websocket import Over, Terms, opened

LONGEST = 300
SEEDS = (
    b"\0\0" + framed(b"host: a\r\nx-grpc-web: 1\r\n") + framed(message(1, b"bbaarei")),
    b"\1\5" + framed(b'{"type":"token"}', 1) + framed(b"\x03\xe8", 8),
    b"\0\7" + framed(b"one ", final=False) + framed(b"?", 9) + framed(b"two", 0) + framed(END),
)
WORDS = (
    b"\x82\x80\0\0\0\0",
    b"\x81\x81\0\0\0\0x",
    b"\x80\x80\0\0\0\0",
    b"\x00\x80\0\0\0\0",
    b"\x02\x80\0\0\0\0",
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x88\x80\0\0\0\0",
    b"\x89\x80\0\0\0\0",
    b"\x8a\xfe\0\x7e",
    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xc2\x80",
    b"\x83\x80",
)

_LOOP = asyncio.new_event_loop()


class _Told(logging.Handler):
    """Nothing that a stranger sends is a mistake of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


logging.getLogger("tokenward.server").addHandler(_Told())


def attempt(data: bytes) -> None:
    if data[2:]:
        _LOOP.run_until_complete(_talk(bool(data[0] & 1), data[1], data[2:]))


async def _talk(text: bool, cut: int, data: bytes) -> None:
    said: list[bytes] = []

    async def listen(socket) -> None:
        while True:
            said.append(await socket.hear(1))
            socket.say(b"yes")

    terms = Terms(text=text, longest=LONGEST, most=4096)
    received = Received("GET", "/", headers=tuple(OPENING.items()))
    socket, wire, house = opened(received, terms, listen), Wire(), House()
    socket.begin(wire, house, b"")
    await asyncio.sleep(0)
    opening, wire.sent = wire.sent, b""
    assert opening.startswith(b"HTTP/1.1 101 ")
    for piece in (data[:cut], data[cut:]):
        if not wire.ended:
            socket.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    socket.connection_lost(None)
    await house.task
    assert house.inside is None
    assert isinstance(socket._end, Over)
    assert all(len(one) <= LONGEST for one in said)
    assert sum(map(len, said)) <= len(data)
    assert not text or all(one.decode() is not None for one in said)
    theirs = Protocol(CLIENT)
    theirs.receive_data(wire.sent)
    assert theirs.parser_exc is None, "what we say is no WebSocket"
    assert len(wire.sent) <= 2 * len(data) + 200
