"""What is said to a Hub and by one, as bytes; and that any other bytes are refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tokenward.jose.identity import PrivateKey
from tokenward.jose.jws import dump_object, encode
from tokenward.remote.hub.messages import Malformed, Reply, Request, reply, request
from tokenward.remote.hub.token import read

SOMEBODY, ANOTHER = PrivateKey.generate().public, PrivateKey.generate("secp256k1").public
NOW = 1_800_000_000.0


def test_the_messages_are_those_of_the_proto():
    key = "bbaareiadued3746occ7b24g5ddtuxqezm7snmme3uugv6ho4qzsbevjrxa"
    assert Request(key=key).to_bytes() == b"\x0a\x3b" + key.encode()
    assert Request(signature=b"s" * 64).to_bytes() == b"\x12\x40" + b"s" * 64
    assert Request().to_bytes() == b""
    assert Reply(challenge=b"c" * 32).to_bytes() == b"\x0a\x20" + b"c" * 32
    assert Reply(token="t" * 300).to_bytes() == b"\x12\xac\x02" + b"t" * 300
    assert Reply().to_bytes() == b""


@given(some.binary(max_size=300), some.text(max_size=300))
def test_what_is_written_is_read(data, text):
    for said in (Request(key=text), Request(signature=data)):
        assert request(said.to_bytes()) == said
    for said in (Reply(challenge=data), Reply(token=text)):
        assert reply(said.to_bytes()) == said


@given(some.binary(max_size=64))
def test_any_bytes_are_a_message_or_refused(data):
    for reader, kind in ((request, Request), (reply, Reply)):
        said = None
        with suppress(Malformed):
            said = reader(data)
        assert said is None or isinstance(said, kind)


@pytest.mark.parametrize(
    "data",
    [b"\x0a", b"\x0a\x05abc", b"\x0b\x00", b"\x02\x00", b"\xff" * 11, b"\x12\x01\xff", b"\x0d\0\0"],
)
def test_what_is_no_reply_is_refused(data):
    with pytest.raises(Malformed):
        reply(data)


def test_members_that_nobody_knows_are_passed_over_and_the_last_of_the_two_counts():
    more = b"\x18\x01" + b"\x21" + bytes(8) + b"\x2d" + bytes(4) + b"\x32\x01x"
    assert reply(more + b"\x0a\x01c") == Reply(challenge=b"c")
    assert reply(b"\x0a\x01c\x12\x01t") == Reply(token="t")


def test_neither_challenge_nor_token_is_in_a_repr():
    assert "secret" not in repr(Reply(token="secret")) + repr(Reply(challenge=b"secret"))


def jwt(**claims):
    return f"{encode(b'{}')}.{encode(dump_object(claims))}.{encode(b's')}"


@pytest.mark.parametrize(
    ("token", "left"),
    [
        ("opaque", 60),
        (jwt(sub=SOMEBODY.text), 60),
        (jwt(iat=1), 60),
        (jwt(sub=SOMEBODY.text, exp=int(NOW) + 5), 5),
        (jwt(exp=NOW + 5.5), 5),
        (jwt(exp=10**15), 365 * 86_400),
    ],
)
def test_how_long_a_token_is_good_for(token, left):
    found = read(token, key=SOMEBODY, lifetime=60.0, now=NOW)
    assert (found.value, found.expires_at) == (token, NOW + left)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "two words",
        "a.b.c",
        jwt(sub=ANOTHER.text),
        jwt(sub=""),
        jwt(sub=None),
        jwt(sub=["x"]),
        jwt(exp="soon"),
        jwt(exp=True),
        "é",
        "t" * 70_000,
    ],
)
def test_what_is_no_token_for_this_key(token):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - whatever it says, see below
        read(token, key=SOMEBODY, lifetime=60.0, now=NOW)
    assert not token or token not in str(caught.value)
