"""The frames of a WebSocket, as RFC 6455 has them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub import framed
from tokenward.server.hub.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Broken,
    Frame,
    Incoming,
    closing,
    frame,
    switching,
)

OPENING = {
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-protocol": b"grpc-websockets",
}


def read(data, longest=1000, step=None):
    incoming = Incoming(longest)
    step = step or max(1, len(data))
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    return [found for piece in pieces for found in incoming.feed(piece)]


def test_the_handshake_of_the_rfc():
    answer = switching(OPENING, b"grpc-websockets")
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"\r\nsec-websocket-protocol: grpc-websockets\r\n\r\n" in answer
    assert b"extensions" not in answer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"connection", b"keep-alive, Upgrade"),
        (b"upgrade", b"WebSocket"),
        (b"sec-websocket-protocol", b"other, grpc-websockets"),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
    ],
)
def test_what_browsers_write_differently_is_the_same(name, value):
    assert switching({**OPENING, name: value}, b"grpc-websockets")


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
        (b"sec-websocket-protocol", b""),
        (b"sec-websocket-protocol", b"grpc-websockets2"),
        (b"content-length", b"1"),
        (b"transfer-encoding", b"chunked"),
    ],
)
def test_what_opens_no_socket_of_ours_opens_none(name, value):
    assert switching({**OPENING, name: value}, b"grpc-websockets") == b""


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 125, 126, 127, 999, 1000])
@pytest.mark.parametrize("step", [1, 7, None])
def test_frames_come_out_as_they_went_in_however_they_are_cut(length, step):
    payload = bytes(range(256)) * 4
    data = framed(payload[:length]) + framed(b"next", TEXT)
    assert read(data, step=step) == [Frame(BINARY, payload[:length]), Frame(TEXT, b"next")]


def test_a_message_in_pieces_is_one_and_a_ping_may_come_between():
    data = (
        framed(b"one ", BINARY, final=False)
        + framed(b"?", PING)
        + framed(b"two ", 0, final=False)
        + framed(b"three", 0)
        + framed(b"!", PONG)
    )
    assert read(data) == [Frame(PING, b"?"), Frame(BINARY, b"one two three"), Frame(PONG, b"!")]


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
        (b"\x82\xfe\0\x7d" + b"\0" * 4 + b"x" * 125, 1002),
        (b"\x82\xff" + (1000).to_bytes(8, "big"), 1002),
        (framed(b"x" * 1001), 1009),
        (framed(b"", length=1 << 40), 1009),
        (framed(b"", length=(1 << 64) - 1), 1009),
        (framed(b"x" * 600, final=False) + framed(b"x" * 401, 0), 1009),
    ],
)
def test_what_is_no_frame_breaks_the_connection(data, code):
    with pytest.raises(Broken) as broken:
        read(data)
    assert broken.value.code == code


def test_what_came_before_the_fault_is_heard():
    incoming, heard = Incoming(1000), []
    with pytest.raises(Broken):
        heard.extend(incoming.feed(framed(b"good") + b"\x82\x01x"))
    assert heard == [Frame(BINARY, b"good")]


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_our_own_frames_are_as_short_as_they_can_be_and_not_masked(length):
    said = frame(BINARY, b"x" * length)
    head = {0: 2, 125: 2, 126: 4, 65_535: 4, 65_536: 10}[length]
    assert len(said) == head + length
    assert said[0] == 0x82
    assert not said[1] & 0x80


def test_a_closing_frame_says_why():
    assert closing(1000) == b"\x88\x02\x03\xe8"
    assert read(framed(closing(1000)[2:], CLOSE)) == [Frame(CLOSE, b"\x03\xe8")]


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_whatever_arrives_is_read_or_breaks_the_connection(pieces):
    incoming, found = Incoming(200), []
    with suppress(Broken):
        for piece in pieces:
            found.extend(incoming.feed(piece))
    assert all(len(frame.payload) <= 200 for frame in found)
