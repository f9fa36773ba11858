"""What a client of a hub says, message by message."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub import END, block, message
from tokenward.server.hub import grpcweb
from tokenward.server.hub.grpcweb import Malformed, Reader, Request

KEY = b"bbaareiadued3746occ7b24g5ddtuxqezm7snmme3uugv6ho4qzsbevjrxa"
METADATA = block({"host": "http://127.0.0.1:3007", "x-textile-api-key": "babc", "x-grpc-web": "1"})


def read(*frames):
    reader = Reader()
    return [said for frame in frames for said in reader.feed(frame)]


def test_a_conversation_as_the_real_client_writes_it():
    said = read(METADATA, message(1, KEY), message(2, b"s" * 64), END)
    assert said[0] == {
        "host": "http://127.0.0.1:3007",
        "x-textile-api-key": "babc",
        "x-grpc-web": "1",
    }
    assert said[1:] == [
        Request(key=KEY.decode()),
        Request(signature=b"s" * 64),
        grpcweb.END,
    ]


def test_the_bytes_of_a_real_client():
    first = bytes.fromhex("00000000003d0a3b") + KEY
    second = bytes.fromhex("0000000000421240") + b"s" * 64
    assert message(1, KEY) == first
    assert message(2, b"s" * 64) == second
    assert read(METADATA, bytes.fromhex("000000000000"), END) == [
        grpcweb.metadata(METADATA),
        Request(),
        grpcweb.END,
    ]


def test_a_message_may_come_in_pieces_and_several_at_once():
    whole = message(1, KEY)
    pieces = [b"\0" + whole[1:4], b"\0" + whole[4:20], b"\0" + whole[20:] + message(2, b"s")[1:]]
    assert read(METADATA, *pieces)[1:] == [Request(key=KEY.decode()), Request(signature=b"s")]


@pytest.mark.parametrize(
    "frames",
    [
        [b"no colon\r\n"],
        [b": no name\r\n"],
        [b"two words: x\r\n"],
        [b"name: \x00\r\n"],
        [b"name: \xc3\xa9\r\n"],
        [b"name: one\nother: two\r\n"],
        [b"name: one\r\nName: two\r\n"],
        [b"a: b\r\n" * 2],
        ["".join(f"n{number}: x\r\n" for number in range(65)).encode()],
        [b"a: " + b"x" * 8192],
        [METADATA, b""],
        [METADATA, b"\x02"],
        [METADATA, b"\x01\x01"],
        [METADATA, b"\xff" * 100],
        [METADATA, b"\0\x01\0\0\0\0"],
        [METADATA, b"\0\x80\0\0\0\0"],
        [METADATA, b"\0\0\0\0\x10\x01"],
        [METADATA, b"\0\0\xff\xff\xff\xff"],
        [METADATA, b"\0\0\0\0", END],
        [METADATA, message(1, KEY)[:-1], END],
        [METADATA, END, END],
        [METADATA, END, message(1, KEY)],
        [METADATA, *[message(1, KEY)] * 5],
        [METADATA, message(1, b"\xff\xfe")],
        [METADATA, b"\0\0\0\0\0\x01\x0a"],
        [METADATA, b"\0\0\0\0\0\x02\x0a\x05"],
        [METADATA, b"\0\0\0\0\0\x02\x0b\x00"],
        [METADATA, b"\0\0\0\0\0\x02\x02\x00"],
        [METADATA, b"\0\0\0\0\0\x0b" + b"\xff" * 11],
        [METADATA, b"\0\0\0\0\0\x02\x19\x00"],
    ],
)
def test_what_no_client_would_say_is_refused(frames):
    with pytest.raises(Malformed):
        read(*frames)


def test_fields_of_later_versions_are_passed_over():
    later = b"\x18\x05" + b"\x22\x02hi" + b"\x29" + b"x" * 8 + b"\x35" + b"x" * 4
    said = later + b"\x0a\x02bb" + later
    assert grpcweb.request(said) == Request(key="bb")


def test_of_the_two_members_the_last_counts():
    assert grpcweb.request(b"\x0a\x01b\x12\x01s") == Request(signature=b"s")
    assert grpcweb.request(b"\x12\x01s\x0a\x01b") == Request(key="b")


def test_what_we_say_is_what_the_clients_read():
    assert grpcweb.challenge(b"c" * 32) == bytes.fromhex("00000000220a20") + b"c" * 32
    assert grpcweb.token("t" * 300) == bytes.fromhex("000000012f12ac02") + b"t" * 300
    assert grpcweb.trailers(0) == b"\x80\0\0\0\x10grpc-status: 0\r\n"
    assert grpcweb.trailers(16, "Bad API key signature")[5:] == (
        b"grpc-status: 16\r\ngrpc-message: Bad API key signature\r\n"
    )


def test_a_message_cannot_end_its_line():
    said = grpcweb.trailers(2, "100 %\r\ngrpc-status: 0 é")
    assert said.endswith(b"grpc-message: 100 %25%0D%0Agrpc-status: 0 %C3%A9\r\n")


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_whatever_arrives_it_is_read_or_refused(frames):
    reader, said = Reader(), []
    with suppress(Malformed):
        for frame in frames:
            said.extend(reader.feed(frame))
    assert all(isinstance(one, dict | Request) or one is grpcweb.END for one in said)
