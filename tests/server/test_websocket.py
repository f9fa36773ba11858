"""A WebSocket of ours on a real port, and clients that send what they like."""

import asyncio
import gc
import logging
import weakref
from contextlib import asynccontextmanager, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub import asking, framed
from tests.server.toys import front
from tokenward.server import websocket
from tokenward.server.endpoints import NEVER
from tokenward.server.http import JSON, Answer, Received
from tokenward.server.serve import serving
from tokenward.server.websocket import Broken, Gone, Over, Stopping, Terms, opened

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
BYTES = Terms(subprotocol="toy", longest=1000)
WORDS = Terms(text=True, longest=1000)

OPENING = {
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-protocol": b"toy",
}


async def silent(socket):
    await socket.hear(10)


def opening(fields, terms=BYTES, method="GET"):
    pairs = tuple(fields.items()) if isinstance(fields, dict) else fields
    return opened(Received(method, "/talk", headers=pairs), terms, silent)


def test_the_handshake_of_the_rfc():
    answer = opening(OPENING)._opening.lower()
    assert answer.startswith(b"http/1.1 101 ")
    assert b"\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in answer
    assert b"\r\nsec-websocket-protocol: toy\r\n\r\n" in answer
    assert b"extensions" not in answer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"connection", b"keep-alive, Upgrade"),
        (b"upgrade", b"WebSocket"),
        (b"sec-websocket-protocol", b"other, toy"),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        (b"content-length", b"0"),
        (b"origin", b"https://anywhere.example"),
    ],
)
def test_what_browsers_write_differently_is_the_same(name, value):
    assert b"extensions" not in opening({**OPENING, name: value})._opening.lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"upgrade", b"h2c"),
        (b"upgrade", b""),
        (b"connection", b"keep-alive"),
        (b"sec-websocket-version", b"8"),
        (b"sec-websocket-version", b"13, 8"),
        (b"sec-websocket-key", b""),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==\r\nx: y"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZXh4eHg="),
        (b"sec-websocket-key", b"\xff" * 24),
        (b"sec-websocket-protocol", b""),
        (b"sec-websocket-protocol", b"toys"),
        (b"content-length", b"1"),
        (b"transfer-encoding", b"chunked"),
    ],
)
def test_what_opens_no_socket_of_ours_opens_none(name, value):
    assert opening({**OPENING, name: value}) is None


@pytest.mark.parametrize("name", [b"sec-websocket-key", b"sec-websocket-version", b"origin"])
def test_what_comes_twice_opens_none(name):
    assert opening((*OPENING.items(), (b"origin", b"a"), (name, OPENING.get(name, b"b")))) is None


def test_nobody_posts_a_socket():
    assert opening(OPENING, method="POST") is None


def test_without_a_subprotocol_of_ours_none_is_agreed_to():
    offered = opening(OPENING, WORDS)
    assert b"protocol:" not in offered._opening.lower()
    del (without := dict(OPENING))[b"sec-websocket-protocol"]
    assert opening(without, WORDS) is not None
    assert opening(without) is None


class Talking:
    """Where one may talk; what was heard, and how it ended, is kept."""

    methods = frozenset({"GET"})
    cors = NEVER

    def __init__(self, terms):
        self.terms, self.heard, self.ends, self.sockets = terms, [], [], []

    async def answer(self, received):
        return Answer(426, (JSON,), b"{}")

    def upgrade(self, received):
        return opened(received, self.terms, self.talk)

    async def talk(self, socket):
        """Echo, until it is over; `bye`, `fail`, `hurry` and `patient` are commands."""
        self.sockets.append(weakref.ref(socket))
        patient, seconds = False, 10
        try:
            while (message := await socket.hear(seconds, patient=patient)) != b"bye":
                self.heard.append(message)
                seconds = 0.02 if message == b"hurry" else 10
                if message == b"fail":
                    raise LookupError("what nobody thought of")
                patient = message == b"patient"
                socket.say(message)
        except (Over, TimeoutError) as exc:
            self.ends.append(exc)
            raise


@contextmanager
def talks(terms=BYTES, drain=1.0):
    endpoint = Talking(terms)
    with serving(front(routes={"/talk": endpoint}), drain=drain) as url:
        yield endpoint, url


@pytest.fixture(scope="module")
def toy():
    with talks() as toy:
        yield toy


@pytest.fixture(scope="module")
def words():
    with talks(WORDS) as words:
        yield words


@asynccontextmanager
async def asked(toy):
    toy[0].ends.clear()
    async with asking(toy[1], "/talk", subprotocol="toy") as client:
        assert client.status == 101
        yield client


async def heard(client, count):
    return [await client.frame() for _ in range(count)]


async def ended(toy):
    """How the last talk ended, once it has."""
    for _ in range(500):
        if toy[0].ends:
            return toy[0].ends.pop()
        await asyncio.sleep(0.01)
    raise AssertionError("it goes on")


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 125, 126, 127, 999, 1000])
@pytest.mark.parametrize("step", [1, 7, None])
async def test_messages_come_back_as_they_went_in_however_they_are_cut(toy, length, step):
    payload = (bytes(range(256)) * 4)[:length]
    data = framed(payload) + framed(b"next")
    async with asked(toy) as client:
        for at in range(0, len(data), step or len(data)):
            client.raw(data[at : at + (step or len(data))])
        assert await heard(client, 2) == [(BINARY, payload), (BINARY, b"next")]


async def test_a_message_in_pieces_is_one_and_a_ping_may_come_between(toy):
    async with asked(toy) as client:
        client.raw(
            framed(b"one ", BINARY, final=False)
            + framed(b"?", PING)
            + framed(b"two ", 0, final=False)
            + framed(b"three", 0)
            + framed(b"!", PONG)
        )
        assert await heard(client, 2) == [(PONG, b"?"), (BINARY, b"one two three")]


async def test_text_is_heard_where_text_is_spoken(words):
    async with asked(words) as client:
        client.raw(framed(b"gr\xc3", TEXT, final=False) + framed(b"\xbc\xc3\x9f", 0))
        assert await heard(client, 1) == [(TEXT, "grüß".encode())]


@pytest.mark.parametrize(("payload", "kind", "code"), [(b"x", BINARY, 1003), (b"\xff", TEXT, 1007)])
async def test_what_is_no_text_is_not_heard_there(words, payload, kind, code):
    async with asked(words) as client:
        client.send(payload, opcode=kind)
        assert (await client.listen()).code == code
    assert isinstance(await ended(words), Broken)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x01x", 1002),
        (b"\xc2\x81\0\0\0\0x", 1002),
        (framed(b"", 3), 1002),
        (framed(b"", 11), 1002),
        (framed(b"x" * 126, PING), 1002),
        (framed(b"x", PING, final=False), 1002),
        (framed(b"x", 0), 1002),
        (framed(b"x", final=False) + framed(b"y"), 1002),
        (framed(b"x", final=False) + framed(b"\x03\xe8", CLOSE), 1002),
        (framed(b"\x03", CLOSE), 1002),
        (framed(b"\x03\xed", CLOSE), 1002),
        (framed(b"\x03\xe8\xff", CLOSE), 1007),
        (framed(b"x" * 1001), 1009),
        (framed(b"", length=1 << 40), 1009),
        (framed(b"", length=(1 << 63) - 1), 1009),
        (framed(b"", length=(1 << 64) - 1), 1009),
        (framed(b"x" * 600, final=False) + framed(b"x" * 401, 0), 1009),
        (framed(b"text", TEXT), 1003),
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
async def test_what_is_no_frame_breaks_the_connection_and_what_came_before_is_heard(
    toy, data, code
):
    toy[0].heard.clear()
    async with asked(toy) as client:
        client.raw(framed(b"good") + data)
        listened = await client.listen()
    assert (listened.code, listened.closed) == (code, True)
    assert isinstance(await ended(toy), Broken)
    assert toy[0].heard == [b"good"]


async def test_who_says_goodbye_hears_it_back(toy):
    async with asked(toy) as client:
        client.send(b"\x03\xe8bye", opcode=CLOSE)
        assert await client.frame() == (CLOSE, b"\x03\xe8bye")
        assert await client.frame() is None
    assert isinstance(await ended(toy), Gone)


async def test_who_goes_away_is_gone(toy):
    async with asked(toy) as client:
        client.writer.transport.abort()
    assert isinstance(await ended(toy), Gone)


async def test_who_is_told_goodbye_and_does_not_answer_is_cut_off(toy, monkeypatch):
    monkeypatch.setattr(websocket, "LEAVE", 0.05)
    async with asked(toy) as client:
        client.send(b"bye")
        assert await heard(client, 2) == [(CLOSE, b"\x03\xe8"), None]


async def test_what_comes_after_the_end_is_nobodys(toy):
    toy[0].heard.clear()
    async with asked(toy) as client:
        client.send(b"bye", b"more")
        assert await client.frame() == (CLOSE, b"\x03\xe8")
        client.send(b"and more", b"\x03\xe8")
        client.send(b"\x03\xe8", opcode=CLOSE)
        assert await client.frame() is None
    assert toy[0].heard == []


async def test_who_is_not_waited_for_any_longer_hears_the_end(toy):
    async with asked(toy) as client:
        client.send(b"hurry")
        assert await heard(client, 2) == [(BINARY, b"hurry"), (CLOSE, b"\x03\xe8")]
    assert isinstance(await ended(toy), TimeoutError)


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_pings_ends_and_is_not_answered(toy, opcode):
    async with asked(toy) as client:
        client.send(*[b"x" * 100] * 40, opcode=opcode)
        listened = await client.listen()
    assert listened.code == 1002
    assert len(listened.frames) <= 33
    assert isinstance(await ended(toy), Broken)


async def test_a_message_in_many_pieces_ends_as_well(toy):
    async with asked(toy) as client:
        client.raw(framed(b"x", final=False) + framed(b"y", 0, final=False) * 63 + framed(b"z", 0))
        assert await client.frame() == (BINARY, b"x" + b"y" * 63 + b"z")
        client.raw(framed(b"", final=False) + framed(b"", 0, final=False) * 5000)
        assert (await client.listen()).code == 1002
    assert isinstance(await ended(toy), Broken)


async def test_who_says_more_than_there_is_to_say_is_cut_off(toy):
    async with asked(toy) as client:
        client.send(*[b"x" * 900] * 80)
        while await client.frame() is not None:
            pass
    assert isinstance(await ended(toy), Broken)


async def test_a_mistake_of_ours_is_logged_and_the_client_hears_that_there_was_one(toy, caplog):
    async with asked(toy) as client:
        client.send(b"fail")
        assert await client.frame() == (CLOSE, b"\x03\xf3")
    (record,) = caplog.records
    assert record.message == "a talk on a WebSocket failed"


async def test_what_is_said_is_in_no_log(toy, caplog):
    caplog.set_level(logging.DEBUG)
    async with asked(toy) as client:
        client.send(b"in private")
        assert await client.frame() == (BINARY, b"in private")
    assert "private" not in caplog.text
    assert "frame" not in caplog.text.lower()


@pytest.mark.parametrize("last", [b"bye", b"again", framed(b"", 11), b""])
async def test_nothing_is_left_of_it(toy, last):
    """Without the collector of cycles, which is slow to come by."""
    toy[0].sockets.clear()
    gc.collect()
    gc.disable()
    try:
        async with asked(toy) as client:
            client.send(last) if last.isalpha() else client.raw(last)
        for _ in range(500):
            toy[0].ends.clear()  # their tracebacks lead there
            if toy[0].sockets and toy[0].sockets[0]() is None:
                break
            await asyncio.sleep(0.01)
        assert [one() for one in toy[0].sockets] == [None]
    finally:
        gc.enable()


async def test_at_the_end_who_was_asked_for_something_may_answer_and_others_hear_that_we_stop():
    context = talks(drain=5.0)
    toy = context.__enter__()
    async with asked(toy) as patient, asked(toy) as idle:
        patient.send(b"patient")
        assert await patient.frame() == (BINARY, b"patient")
        ending = asyncio.create_task(asyncio.to_thread(context.__exit__, None, None, None))
        assert (await idle.listen()).code == 1001
        assert not ending.done()
        patient.send(b"answer")
        assert await patient.frame() == (BINARY, b"answer")
        assert (await patient.listen()).code == 1001
        await ending
    assert [type(end) for end in toy[0].ends] == [Stopping, Stopping]


async def test_at_the_end_nobody_is_waited_for_too_long(monkeypatch):
    monkeypatch.setattr(websocket, "LEAVE", 0.1)
    context = talks(drain=5.0)
    toy = context.__enter__()
    async with asked(toy) as client:
        client.send(b"patient")
        assert await client.frame() == (BINARY, b"patient")
        ending = asyncio.create_task(asyncio.to_thread(context.__exit__, None, None, None))
        assert (await client.listen()).code == 1001
        await ending


class Wire(asyncio.Transport):
    """Where what we send ends up."""

    def __init__(self):
        super().__init__()
        self.sent, self.ended = b"", False

    def write(self, data):
        self.sent += data

    def set_protocol(self, protocol):
        self.protocol = protocol

    def is_closing(self):
        return self.ended

    def can_write_eof(self):
        return True

    def write_eof(self):
        pass

    def close(self):
        self.ended = True

    abort = close


class House:
    def enter(self, one):
        self.inside = one

    def leave(self, one):
        self.inside = None

    def employ(self, task):
        self.task = task


@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_whatever_arrives_is_heard_or_breaks_the_connection(pieces, text):
    said = []

    async def listen(socket):
        while True:
            said.append(await socket.hear(1))

    async def talk():
        socket, wire, house = (
            opened(Received("GET", "/", headers=tuple(OPENING.items())), terms, listen),
            Wire(),
            House(),
        )
        socket.begin(wire, house, b"")
        for piece in pieces:
            if not wire.ended:
                socket.data_received(piece)
        await asyncio.sleep(0)
        socket.connection_lost(None)
        await house.task
        assert house.inside is None

    terms = Terms(text=text, longest=200)
    asyncio.run(talk())
    assert all(len(message) <= 200 for message in said)
    assert sum(map(len, said)) <= sum(map(len, pieces))
