"""Key, challenge, signature, token: the conversation, without anything that carries it."""

from dataclasses import replace
from datetime import datetime

import pytest

from tests.hub import KEY, OPEN_KEY, SECRET, metadata, signature
from tokenward.jose.identity import PrivateKey
from tokenward.oauth.errors import (
    InvalidClient,
    InvalidRequest,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from tokenward.server.hub import grpcweb
from tokenward.server.hub.door import HubDoor
from tokenward.server.hub.exchange import Issue, Listen, Look, Refused, Say, get_token, status_of
from tokenward.server.hub.grpcweb import END, Request
from tokenward.server.hubkeys import Entry
from tokenward.server.proofs import Trusting
from tokenward.server.proofs.hub_key import HubKey

NOW = 1_800_000_000.0
SOMEBODY = PrivateKey.generate()
CHALLENGE = bytes(range(32))
OTHER = "b" + "c" * 26
HMAC_MESSAGE = "2030-01-02T03:04:05.678Z"
HMAC_SIGNATURE = "bm2y3metd5dqogz7sa662sugyb2vbv3nuvfs4ly2apzbfucim6c3a"
"""Of SECRET, by @textile/security."""


def group(*, name="app", origins=(), taken=(), **settings):
    settings = {"key": KEY, "secret": SECRET} | settings
    made = HubKey(**settings).trusted(Trusting(name=name, taken=taken, clock=lambda: NOW))
    made.origins = frozenset(origins)
    return made.find(settings["key"])


def talk(*said, origin="", found=None, random=lambda _: CHALLENGE):
    """What the server asks for and says, given what the client says in turn."""
    heard, lines, answer = [], list(said), None
    conversation = get_token(origin, random)
    while True:
        try:
            step = conversation.send(answer)
        except StopIteration:
            return heard
        heard.append(step)
        match step:
            case Listen():
                answer = lines.pop(0)
            case Look():
                answer = found
            case Issue():
                answer = "a token"
            case _:
                answer = None


def said(**more):
    return metadata(now=NOW, **more)


def refusal(*lines, found=None, **how):
    with pytest.raises(OAuthError) as refused:
        talk(*lines, found=found or group(), **how)
    return status_of(refused.value)


def key(identity=SOMEBODY):
    return Request(key=identity.public.text)


def signed(identity=SOMEBODY, challenge=CHALLENGE):
    return Request(signature=identity.sign(challenge))


def test_who_signs_the_challenge_gets_a_token():
    steps = talk(said(), key(), signed(), found=group())
    assert steps[:4] == [Listen(), Look(KEY), Listen(), Say(grpcweb.challenge(CHALLENGE))]
    assert steps[4] == Listen(signing=True)
    caller = steps[5].caller
    assert (caller.name, caller.subject) == ("app", SOMEBODY.public.text)
    assert caller.claims == {
        "key": SOMEBODY.public.text,
        "key_type": "ed25519",
        "app": KEY,
        "app_type": "user",
    }
    assert steps[6] == Say(grpcweb.token("a token"))


@pytest.mark.parametrize("kind", ["p256", "secp256k1", "rsa"])
def test_a_key_may_be_of_any_kind_that_libp2p_has(kind):
    somebody = PrivateKey.generate(kind)
    steps = talk(said(), key(somebody), signed(somebody), found=group())
    assert steps[5].caller.claims["key_type"] == kind


def test_a_challenge_is_32_bytes_that_nobody_could_know():
    asked = []
    for _ in range(100):
        conversation = get_token("")
        conversation.send(None)
        conversation.send(said())
        conversation.send(group())
        asked.append(conversation.send(key()).message)
    assert {len(one) for one in asked} == {5 + 2 + 32}
    assert len(set(asked)) == 100


def test_a_trial_key_needs_no_signature():
    trial = group(key=OPEN_KEY, secret="", development=True, name="trial")
    steps = talk({"x-textile-api-key": OPEN_KEY}, key(), signed(), found=trial)
    assert steps[5].caller.name == "trial"


@pytest.mark.parametrize("ahead", [0.0, 60.0, 1800.0, 3600.0])
def test_a_signature_is_good_until_the_moment_it_names(ahead):
    assert talk(said(ahead=ahead), key(), signed(), found=group())[-1] == Say(
        grpcweb.token("a token")
    )


@pytest.mark.parametrize(
    "date",
    [
        "2027-01-15T08:00:30Z",
        "2027-01-15T08:00:30.5Z",
        "2027-01-15T08:00:30.123456789Z",
        "2027-01-15T10:00:30+02:00",
        "2027-01-14T23:00:30.678-09:00",
    ],
)
def test_the_date_may_be_written_as_other_clients_do(date):
    dated = said() | {"x-textile-api-sig-msg": date, "x-textile-api-sig": signature(date)}
    assert talk(dated, key(), signed(), found=group())


SIGNATURE = (16, "Bad API key signature")


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        ({"ahead": -0.001}, SIGNATURE),
        ({"ahead": -3600.0}, SIGNATURE),
        ({"ahead": 3601.0}, SIGNATURE),
        ({"ahead": 1e9}, SIGNATURE),
        ({"secret": "b" + "a" * 39}, SIGNATURE),
        ({"x_textile_api_sig": None}, (16, "API key signature required")),
        ({"x_textile_api_sig_msg": None}, (16, "API key signature required")),
        ({"x_textile_api_sig": "not base32"}, SIGNATURE),
        ({"x_textile_api_sig": "b"}, SIGNATURE),
        ({"x_textile_api_sig": "b" + "a" * 52}, SIGNATURE),
        ({"x_textile_api_sig_msg": "tomorrow"}, SIGNATURE),
        ({"x_textile_api_sig_msg": "2027-01-15"}, SIGNATURE),
        ({"x_textile_api_sig_msg": "2027-01-15T08:00:30"}, SIGNATURE),
        ({"x_textile_api_sig_msg": "2027-02-30T08:00:30Z"}, SIGNATURE),
        ({"x_textile_api_sig_msg": "2027-01-15T08:00:31Z"}, SIGNATURE),
        ({"x_textile_api_key": None}, (16, "Session or API key required")),
        (
            {"x_textile_api_key": None, "x_textile_session": "babc"},
            (16, "Invalid session"),
        ),
    ],
)
def test_an_application_that_does_not_show_what_it_must_is_refused(how, answer):
    assert refusal(said(**how), key(), signed()) == answer


def test_an_application_nobody_knows_is_refused():
    with pytest.raises(Refused) as refused:
        talk(said(), key(), signed(), found=None)
    assert status_of(refused.value) == (5, "API key not found or is invalid")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.com.x"])
def test_a_page_that_is_not_the_applications_is_refused(origin):
    app = group(origins=["https://app.example.com"])
    assert refusal(said(), key(), signed(), found=app, origin=origin) == (7, "Bad authorization")
    assert talk(said(), key(), signed(), found=app, origin="https://app.example.com")


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ((END,), (3, "Metadata is required")),
        ((said(), END), (3, "Key is required")),
        ((said(), Request()), (3, "Key is required")),
        ((said(), signed()), (3, "Key is required")),
        ((said(), Request(key="bnonsense")), (3, "Key is invalid")),
        ((said(), Request(key=SOMEBODY.to_string())), (3, "Key is invalid")),
        ((said(), Request(key="x" * 5000)), (3, "Key is invalid")),
        ((said(), key(), END), (3, "Signature is required")),
        ((said(), key(), Request()), (3, "Signature is required")),
        ((said(), key(), key()), (3, "Signature is required")),
        ((said(), key(), Request(signature=b"s" * 64)), (2, "bad signature")),
        ((said(), key(), Request(signature=b"s")), (2, "bad signature")),
        ((said(), key(), signed(PrivateKey.generate())), (2, "bad signature")),
        ((said(), key(), signed(challenge=bytes(32))), (2, "bad signature")),
        ((said(), key(PrivateKey.generate()), signed()), (2, "bad signature")),
    ],
)
def test_who_does_not_sign_what_was_given_gets_nothing(lines, answer):
    assert refusal(*lines) == answer


def test_a_key_that_fits_any_message_is_nobody():
    small = "bbaareiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    assert refusal(said(), Request(key=small)) == (3, "Key is invalid")


def test_a_key_that_is_the_name_of_somebody_else_is_refused():
    app = group(taken=(SOMEBODY.public.text,))
    assert refusal(said(), key(), signed(), found=app) == (16, "Bad authorization")


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (Refused(4, "x"), 4),
        (InvalidClient(), 16),
        (TooManyRequests(), 8),
        (TemporarilyUnavailable(), 14),
        (InvalidRequest(), 3),
        (InvalidTarget(), 7),
    ],
)
def test_every_refusal_has_a_number(problem, code):
    assert status_of(problem)[0] == code


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"secret": "balkweop3jflk9f43lkjs9df2jlght94nzlkv93s"}, "secret: must be base32"),
        ({"secret": ""}, "secret: is missing"),
        ({"secret": "baaaa"}, "secret: must have 16 bytes"),
        ({"secret": SECRET[1:]}, "secret: must be base32"),
        ({"secret": SECRET[:-1]}, "secret: "),
        ({"secret": SECRET.upper()}, "secret: must be base32"),
        ({"key": ""}, "key: is missing"),
        ({"key": "", "secret": "", "development": True}, "key: is missing"),
        ({"key": "b1"}, "key: must be base32"),
        ({"key": "xyz"}, "key: must be base32"),
        ({"key": "b" + "a" * 200}, "key: must be base32"),
        ({"development": True}, "development: says that there is no secret"),
    ],
)
def test_keys_and_secrets_that_cannot_be_any_are_told_at_the_start(settings, message):
    with pytest.raises(ValueError, match=message) as wrong:
        HubKey(**({"key": KEY, "secret": SECRET} | settings))
    for value in settings.values():
        assert value is True or len(str(value)) < 5 or str(value) not in str(wrong.value)


@pytest.mark.parametrize(
    ("message", "signature", "good"),
    [
        (HMAC_MESSAGE, HMAC_SIGNATURE, True),
        (HMAC_MESSAGE.replace(".678", ".679"), HMAC_SIGNATURE, False),
        (HMAC_MESSAGE, HMAC_SIGNATURE.replace("bm2y", "bm2z"), False),
    ],
)
def test_the_signature_is_what_textiles_clients_compute(message, signature, good):
    clock = lambda: datetime.fromisoformat("2030-01-02T03:04:00Z").timestamp()  # noqa: E731
    there = replace(group(), clock=clock)
    if good:
        there.check(signature, message)
        return
    with pytest.raises(InvalidClient, match="made with another secret") as refused:
        there.check(signature, message)
    assert status_of(refused.value) == (16, "Bad API key signature")


async def test_the_configurations_word_on_a_key_counts_whatever_was_made_besides():
    def of(name, **settings):
        return HubKey(**settings).trusted(Trusting(name=name, clock=lambda: NOW))

    first, second = of("first"), of("second", key=KEY, secret=SECRET)
    first.know([Entry(key=KEY, caller="first"), Entry(key=OTHER, caller="second")])
    second.know([Entry(key=KEY, caller="second"), Entry(key=OTHER, caller="second")])
    assert first.find(KEY).secret == b""
    assert first.find(OTHER) is None
    assert second.find(KEY).secret
    assert second.find(OTHER).name == "second"
    assert second.find("") is None
    door = HubDoor(issuer="hub", issuance=None, audit=None, applications=(first, second))
    assert (await door.find(KEY)).name == "second"
    assert (await door.find(OTHER)).name == "second"
    assert await door.find("b" + "d" * 26) is None
    second.know([])
    assert second.find(OTHER) is None
    assert second.find(KEY)


def test_the_secret_is_in_no_repr():
    settings = HubKey(key=KEY, secret=SECRET)
    assert SECRET not in repr(settings)
    assert "secret" not in repr(group())
