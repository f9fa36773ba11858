"""npm's @grpc/grpc-js asks the hub by native gRPC, with its own reader of protobuf."""

import pytest

from tests.clients.served import NOTES, STRANGERS, claims_of
from tests.hub import NEW_PRIVATE, NEW_PUBLIC, metadata

KEY, SECRET = NOTES


def about(secret):
    """What an application's client says about it."""
    said = metadata(key=KEY, secret=secret)
    return {name: value for name, value in said.items() if name.startswith("x-textile")}


def steps():
    """What is said besides the key, and how the challenge is signed; by name."""
    return {
        "right": (about(SECRET), "right"),
        "other secret": (about("b" + "a" * 39), "right"),
        "no signature": ({"x-textile-api-key": KEY}, "right"),
        "unknown": ({"x-textile-api-key": "b" + "a" * 26}, "right"),
        "no rule": (about(SECRET) | {"x-textile-api-key": STRANGERS}, "right"),
        "signs badly": (about(SECRET), "wrong"),
        "does not sign": (about(SECRET), "never"),
    }


@pytest.fixture(scope="module")
def said(node, tokenward):
    """The answers to everything."""
    same = {"host": tokenward.native, "identity": NEW_PRIVATE}
    asked = {name: {**same, "said": it, "sign": sign} for name, (it, sign) in steps().items()}
    said = node.ask("grpc.mjs", **asked)
    tokenward.server.ledger.token("a person's token", said["right"]["token"])
    return said


def test_it_gets_a_token(said):
    right = said["right"]
    assert (right["code"], right["challenge"]) == (0, 32)
    assert claims_of(right["token"])["sub"] == NEW_PUBLIC


@pytest.mark.parametrize(
    ("name", "code", "details"),
    [
        ("other secret", 16, "Bad API key signature"),
        ("no signature", 16, "API key signature required"),
        ("unknown", 5, "API key not found or is invalid"),
        ("no rule", 7, "There is no such token for this caller, or none at all."),
        ("signs badly", 2, "bad signature"),
        ("does not sign", 3, "Signature is required"),
    ],
)
def test_it_hears_why_not(said, name, code, details):
    assert (said[name]["code"], said[name]["details"]) == (code, details)
    assert "token" not in said[name]
