"""npm's @textile/hub, and the clients of 2020, ask the hub for tokens; npm's jose looks at them.

The programs are started once, with all questions at the same time, and each test looks at answers.
"""

import asyncio
import json
import time

import pytest

from tests.clients.served import NOTES, STRANGERS, TRIAL, claims_of
from tests.dev import command
from tests.hub import (
    NEW_PRIVATE,
    NEW_PUBLIC,
    OLD_PRIVATE,
    OLD_PUBLIC,
    SAMPLE_SECRET,
    asking,
    metadata,
)
from tests.running import CONFIG
from tests.world import header_of
from tokenward.jose import multibase
from tokenward.jose.identity import PrivateKey

KEY, SECRET = NOTES
OTHER_SECRET = "bm5qxe4tknrsgizbvgq2tmnzyhe4tqojzg4ztknbwg4yts"
UNKNOWN = "b" + "a" * 26

# Somebody with a key as clients write it today, and somebody with one as they did in 2020.
ANN = (NEW_PRIVATE, NEW_PUBLIC)
BEN = (OLD_PRIVATE, OLD_PUBLIC)


def steps(origin):
    """What is asked, by name: the verb and what it is told."""
    hub = f"{origin}/hub"
    notes = {"key": KEY, "secret": SECRET, "host": hub, "identity": ANN[0]}
    ben = {**notes, "identity": BEN[0]}
    return {
        "today": ["keyInfo", notes],
        "today, with a key of 2020": ["keyInfo", ben],
        "2020": ["old", ben],
        "2020, with a key of today": ["old", notes],
        "without a secret": ["keyInfo", {**notes, "key": TRIAL, "secret": None}],
        "challenge": ["challenge", notes],
        "page": ["userAuth", {**notes, "seconds": 3.0}],
        "random": ["random", notes],
        "random, 2020": ["random", {**notes, "old": True}],
        "slash": ["keyInfo", {**notes, "host": f"{hub}/"}],
        "root": ["keyInfo", {**notes, "host": origin}],
        "any path": ["keyInfo", {**notes, "host": f"{origin}/behind/a/proxy/"}],
        "2020, slash": ["old", {**notes, "host": f"{hub}/"}],
        "2020, any path": ["old", {**notes, "host": f"{origin}/x"}],
        "signed": ["signed", {**notes, "seconds": 60}],
        # What is refused
        "other secret": ["keyInfo", {**notes, "secret": OTHER_SECRET}],
        "other signature": [
            "signed",
            {**notes, "seconds": 60, "signature": "b" + "a" * 52},
        ],
        "no signature": ["keyInfo", {**notes, "secret": None}],
        "too far ahead": ["signed", {**notes, "seconds": 7200}],
        "unknown": ["keyInfo", {**notes, "key": UNKNOWN}],
        "no rule": ["keyInfo", {**notes, "key": STRANGERS}],
        "signs badly": ["challenge", {**notes, "sign": "wrong"}],
        "does not sign": ["challenge", {**notes, "sign": "fails"}],
        "2020, other secret": ["old", {**notes, "secret": OTHER_SECRET}],
        "2020, unknown": ["old", {**notes, "key": UNKNOWN}],
        # What the clients refuse themselves
        "sample secret": ["keyInfo", {**notes, "secret": SAMPLE_SECRET}],
    }


@pytest.fixture(scope="module")
def made(tokenward):
    """Two keys that were made while the server ran; the second one was disabled as soon."""
    server = tokenward.server

    def keys(*arguments):
        ended = command(
            *("hub", "keys", *arguments, "--json", "-c", CONFIG),
            cwd=server.folder,
            environ=server.environ,
        )
        assert ended.code == 0, ended.err
        return json.loads(ended.out)

    both = [keys("new", "--caller", "notes") for _ in range(2)]
    for one in both:
        server.ledger.secret("the secret of a key that was made", one["secret"])
        server.ledger.secret("the bytes of that secret", multibase.decode(one["secret"]))
    keys("disable", both[1]["key"])
    return both


def found(value):
    """All tokens in an answer."""
    if isinstance(value, dict):
        return [token for one in value.values() for token in found(one)]
    if isinstance(value, list):
        return [token for one in value for token in found(one)]
    return [value] if isinstance(value, str) and value.startswith("eyJ") else []


@pytest.fixture(scope="module")
def said(node, tokenward, made):
    """The answers to everything."""
    said = node.ask("textile.mjs", steps=steps(tokenward.issuer()))
    for token in found(said):
        tokenward.server.ledger.token("a person's token", token)
    return said


@pytest.fixture(scope="module")
def native(node, tokenward):
    """Some of them again, by a WebSocket that browsers would recognise."""
    asked = steps(tokenward.issuer())
    some = ["today", "2020", "slash", "other secret", "signs badly"]
    said = node.ask("textile.mjs", socket="native", steps={one: asked[one] for one in some})
    for token in found(said):
        tokenward.server.ledger.token("a person's token", token)
    return said


def of(token):
    """Whom a token speaks of."""
    assert header_of(token) == {"alg": "Ed25519", "typ": "JWT"}
    claims = claims_of(token)
    assert list(claims) == ["iat", "iss", "sub", "exp"]
    assert claims["iss"].startswith("bbaarei")
    assert claims["exp"] - claims["iat"] == 3600
    return claims["sub"]


@pytest.mark.parametrize(
    ("who", "name"),
    [
        (ANN, "today"),
        (BEN, "today, with a key of 2020"),
        (BEN, "2020"),
        (ANN, "2020, with a key of today"),
        (ANN, "without a secret"),
        (ANN, "signed"),
        (ANN, "slash"),
        (ANN, "root"),
        (ANN, "any path"),
        (ANN, "2020, slash"),
        (ANN, "2020, any path"),
    ],
)
def test_both_clients_get_a_token_wherever_they_were_told_the_hub_is(said, who, name):
    assert of(said[name]["value"]) == who[1]


@pytest.mark.parametrize("name", ["today", "2020", "slash"])
def test_so_they_do_with_the_websocket_of_a_browser(native, name):
    assert of(native[name]["value"]) == (BEN if name == "2020" else ANN)[1]


@pytest.mark.parametrize("name", ["random", "random, 2020"])
def test_a_key_that_they_have_just_made_is_as_good(said, name):
    made = said[name]["value"]
    assert of(made["token"]) == made["public"]


def test_whoever_has_the_key_is_shown_the_challenge(said):
    challenged = said["challenge"]["value"]
    assert (of(challenged["token"]), challenged["shown"]) == (ANN[1], [32])


def test_a_page_asks_its_server_again_once_the_signature_has_expired(said):
    page = said["page"]["value"]
    assert [of(token) for token in page["tokens"]] == [ANN[1]] * 3
    assert (page["before"], page["calls"]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other secret", "Bad API key signature"),
        ("other signature", "Bad API key signature"),
        ("too far ahead", "Bad API key signature"),
        ("no signature", "API key signature required"),
        ("unknown", "API key not found or is invalid"),
        ("signs badly", "bad signature"),
        ("does not sign", "the person has closed the window"),
        ("2020, other secret", "Bad API key signature"),
        ("2020, unknown", "API key not found or is invalid"),
    ],
)
def test_a_refusal_is_heard_in_the_words_of_the_original(said, name, words):
    assert said[name] == {"error": words}


@pytest.mark.parametrize(
    ("name", "words"),
    [("other secret", "Bad API key signature"), ("signs badly", "bad signature")],
)
def test_so_it_is_with_the_websocket_of_a_browser(native, name, words):
    assert native[name] == {"error": words}


def test_those_whom_no_rule_lets_in_hear_no_more_than_that(said):
    assert set(said["no rule"]) == {"error"}
    assert "notes" not in said["no rule"]["error"]


def test_the_seeds_own_sample_of_a_secret_is_one_that_no_client_can_use(said):
    assert "invalid" in said["sample secret"]["error"]


def test_the_server_was_not_asked_for_what_the_client_knew_and_told_of_the_rest(said, tokenward):
    """Nobody who was refused is missing from the trail, and who failed to sign is there as well."""
    for _ in range(100):
        told = tokenward.server.events(event="hub.getToken")
        if len(told) >= len(said) + 2:
            break
        time.sleep(0.05)
    good = [event["subject"] for event in told if event["outcome"] == "ok"]
    assert {ANN[1], BEN[1]} < set(good)
    assert len(good) >= len(found(said))
    refused = [event["detail"] for event in told if event["outcome"] == "refused"]
    assert any("made with another secret" in detail for detail in refused)
    assert any("expires later than it may" in detail for detail in refused)


def test_a_key_that_was_made_meanwhile_is_good_unless_it_was_disabled(node, tokenward, said, made):
    hub, (good, ended) = tokenward.issuer("hub"), made
    asked = {"host": hub, "identity": ANN[0]}
    steps = {
        "good": ["keyInfo", {**asked, "key": good["key"], "secret": good["secret"]}],
        "2020": ["old", {**asked, "key": good["key"], "secret": good["secret"]}],
        "other secret": ["keyInfo", {**asked, "key": good["key"], "secret": SECRET}],
        "disabled": ["keyInfo", {**asked, "key": ended["key"], "secret": ended["secret"]}],
    }
    for _ in range(100):  # servers look every five seconds
        heard = [asyncio.run(ask(tokenward.server.url, key)) for key in made]
        for one in heard:
            if one.token:
                tokenward.server.ledger.token("a person's token", one.token)
        if [one.status for one in heard] == [0, 5]:
            break
        time.sleep(0.1)
    looked = node.ask("textile.mjs", steps=steps)
    for token in found(looked):
        tokenward.server.ledger.token("a person's token", token)
    assert [of(looked[name]["value"]) for name in ("good", "2020")] == [ANN[1]] * 2
    assert looked["other secret"] == {"error": "Bad API key signature"}
    assert looked["disabled"] == {"error": "API key not found or is invalid"}


async def ask(url, key):
    """With a client that starts at once."""
    async with asking(url) as client:
        return await client.get_token(
            PrivateKey.from_string(ANN[0]), metadata(key=key["key"], secret=key["secret"])
        )


def test_jose_believes_these_tokens_and_no_others(node, tokenward, said):
    token = said["today"]["value"]
    jwks = f"{tokenward.issuer('hub')}/.well-known/jwks.json"
    hub = claims_of(token)["iss"]
    expected = {"issuer": hub, "subject": ANN[1], "algorithms": ["Ed25519"], "typ": "JWT"}
    head, payload, _ = token.split(".")
    _, _, another = said["2020"]["value"].split(".")
    cases = {
        "right": {},
        "2020": {"token": said["2020"]["value"], "expected": expected | {"subject": BEN[1]}},
        "subject": {"expected": expected | {"subject": BEN[1]}},
        "issuer": {"expected": expected | {"issuer": ANN[1]}},
        "algorithm": {"expected": expected | {"algorithms": ["EdDSA"]}},
        "signature": {"token": f"{head}.{payload}.{another}"},
        "main's keys": {"jwks": f"{tokenward.issuer()}/.well-known/jwks.json"},
    }
    right = {"token": token, "jwks": jwks, "expected": expected}
    looked = node.ask("jose.mjs", **{name: {**right, **case} for name, case in cases.items()})
    assert looked["right"]["value"] == {**claims_of(token), "header": header_of(token)}
    assert "value" in looked["2020"]
    codes = {name: one.get("code") for name, one in looked.items() if "value" not in one}
    assert codes == {
        "subject": "ERR_JWT_CLAIM_VALIDATION_FAILED",
        "issuer": "ERR_JWT_CLAIM_VALIDATION_FAILED",
        "algorithm": "ERR_JOSE_ALG_NOT_ALLOWED",
        "signature": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        "main's keys": "ERR_JWKS_NO_MATCHING_KEY",
    }
