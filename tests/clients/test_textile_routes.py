"""Pages written for the servers of Textile's examples, with Textile's own packages, ask ours."""

import json

import pytest

from tests.clients.served import NOTES, claims_of
from tokenward.jose.identity import PrivateKey

MINE = PrivateKey.generate()


@pytest.fixture(scope="module")
def said(node, tokenward):
    """The answers to everything."""
    origin, ledger = tokenward.issuer(), tokenward.server.ledger
    ledger.secret("the private key of the page", MINE.to_string())
    said = node.ask(
        "textile-routes.mjs",
        origin=origin,
        hub=tokenward.issuer("hub"),
        identity=MINE.to_string(),
    )
    values = [it["value"] for it in said.values() if "value" in it]
    values += [one for value in values if isinstance(value, dict) for one in value.get("got", [])]
    for value in values:
        token = value if isinstance(value, str) else value["token"]
        ledger.token("a token of the page", token)
        if isinstance(value, dict) and "sig" in value:
            signed = {name: value[name] for name in ("key", "msg", "sig")}
            ledger.token("what is signed", json.dumps(signed, separators=(",", ":")))
    return said


@pytest.mark.parametrize("name", ["seed", "seed, today's key", "token"])
def test_the_first_examples_get_a_token(said, name):
    assert claims_of(said[name]["value"])["sub"] == MINE.public.text


@pytest.mark.parametrize("name", ["userauth", "login"])
def test_the_later_ones_get_all_that_the_clients_want_to_know(said, name):
    value = said[name]["value"]
    assert value.keys() == {"key", "msg", "sig", "token"}
    assert value["key"] == NOTES[0]
    assert claims_of(value["token"])["sub"] == MINE.public.text


def test_with_it_a_page_asks_the_hub_itself(said):
    assert claims_of(said["hub"]["value"]["token"])["sub"] == MINE.public.text


def test_what_is_refused_is_an_error_with_the_reason(said):
    assert said["bad signature"]["error"] == "bad signature"
