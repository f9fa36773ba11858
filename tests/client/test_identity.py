"""A key instead of a password, from the client's side."""

import asyncio
import pickle
import traceback

import httpx2
import pytest

from tests.client.keyissuer import KeyIssuer, told
from tests.client.standin import Api, Issuer, Reply
from tests.docs import examples
from tests.jose.test_identity import NEW, OLD, OLD_PUBLIC, SEED, SEED_PUBLIC, SEED_SIGNATURE
from tokenward.client import Credentials, InsecureURL, KeyIdentity, TokenEndpoint, TokenError


@pytest.fixture
def issuer():
    with KeyIssuer() as issuer:
        yield issuer


@pytest.fixture
def ann():
    return KeyIdentity.generate()


class Threads:
    def get(self, identity, *arguments, **options):
        return identity.get_token(*arguments, **options)


class Tasks:
    def get(self, identity, *arguments, **options):
        return asyncio.run(identity.aget_token(*arguments, **options))


@pytest.fixture(params=[Threads(), Tasks()], ids=["sync", "async"])
def way(request):
    return request.param


def test_a_key_gets_a_token(way, ann, issuer, cache):
    got = way.get(ann, issuer.url, scope="reports:read", audience="reports", cache=cache)
    assert str(got) == f"for-{ann.public_key}-1"
    assert str(got.scope) == "reports:read"
    assert issuer.forms == [{"public_key": [str(ann.public_key)]}]
    [shown] = issuer.shown
    assert shown.name == str(ann.public_key)
    assert issuer.questions[0].form["audience"] == ["reports"]
    assert issuer.questions[0].form["subject_token_type"] == [
        "urn:ietf:params:oauth:token-type:jwt"
    ]


def test_a_token_that_is_good_is_not_asked_for_again(way, ann, issuer, cache):
    first = way.get(ann, issuer.url, cache=cache)
    assert way.get(ann, issuer.url, cache=cache) == first
    assert len(issuer.shown) == 1
    way.get(ann, issuer.url, audience="other", cache=cache)
    way.get(KeyIdentity.generate(), issuer.url, cache=cache)
    assert len(issuer.shown) == 3


def test_each_token_is_for_a_question_of_its_own(ann, issuer, cache, time):
    ann.get_token(issuer.url, cache=cache)
    time.pass_(7200)
    ann.get_token(issuer.url, cache=cache)
    assert [it.nonce for it in issuer.shown] == ["question-1", "question-2"]


def test_a_failure_that_passes_is_asked_again_with_another_question(ann, issuer, cache):
    issuer.answers = [Reply(503, {"error": "temporarily_unavailable"})]
    ann.get_token(issuer.url, cache=cache)
    assert [it.nonce for it in issuer.shown] == ["question-2"]


def test_every_request_can_have_a_token_of_a_key(ann, issuer, cache):
    with Api() as api, httpx2.Client(auth=ann.auth(issuer.url, cache=cache)) as client:
        assert client.get(api.url).json()["token"] == f"for-{ann.public_key}-1"


def test_a_registered_client_may_bring_a_key(ann, issuer, cache):
    ann.get_token(issuer.url, client_id="nightly", client_secret="s" * 40, cache=cache)
    assert issuer.forms == [{"public_key": [str(ann.public_key)], "client_id": ["nightly"]}]
    assert issuer.questions[0].basic == ("nightly", "s" * 40)
    public = TokenEndpoint(
        issuer=issuer.url, credentials=Credentials(client_id="browser", method="none")
    )
    ann.get_token(public, cache=cache)
    assert issuer.forms[-1]["client_id"] == ["browser"]


# ── no token ────────────────────────────────────────────────────────────────────────────────────


def test_who_knows_nobody_by_a_key_gets_no_signature(way, ann, cache):
    with Issuer() as other:
        with pytest.raises(TokenError, match="knows nobody by a key"):
            way.get(ann, other.url, cache=cache)
        assert other.questions == []


@pytest.mark.parametrize(
    "question",
    [{}, {"nonce": ""}, {"nonce": 7}, {"nonce": "n" * 513}, {"nonce": ["n"]}, [], "no", Reply(400)],
)
def test_who_does_not_ask_gets_no_signature(ann, issuer, cache, question):
    issuer.question = question
    with pytest.raises(TokenError):
        ann.get_token(issuer.url, cache=cache)
    assert issuer.questions == []


def test_where_another_host_would_ask_nothing_is_signed(ann, issuer, cache):
    """What metadata say must not send our key's signature elsewhere."""
    with KeyIssuer() as thief:
        said = issuer.metadata() | {"key_challenge_endpoint": f"{thief.url}/challenge"}
        issuer.routes["/.well-known/openid-configuration"] = Reply(body=said)
        with pytest.raises(TokenError):
            ann.get_token(issuer.url, cache=cache)
        assert thief.asked == []
    assert issuer.questions == []


def test_who_says_to_be_another_issuer_gets_no_signature(ann, issuer, cache):
    """One in the middle passes on the metadata and questions of somebody else's server."""
    with KeyIssuer() as thief:
        thief.routes["/.well-known/openid-configuration"] = Reply(body=issuer.metadata())
        with pytest.raises(TokenError):
            ann.get_token(thief.url, cache=cache)
        assert thief.questions == issuer.questions == []


def test_a_question_passed_on_by_another_server_is_answered_for_that_server(ann, issuer, cache):
    """The server in the middle asks what the other one asked: what it gets is for itself alone."""
    with KeyIssuer() as middle:
        ann.get_token(middle.url, cache=cache)
        assert middle.shown[0].audience == middle.url != issuer.url


@pytest.mark.parametrize("server", ["http://tokens.example.com", "ftp://x", "", "no url"])
def test_a_server_that_anybody_can_be_is_not_asked(ann, server):
    with pytest.raises(ValueError, match=r"."):
        ann.get_token(server)


def test_it_is_the_issuer_that_is_signed_and_no_endpoint(ann, issuer):
    for endpoint in (
        TokenEndpoint(url=issuer.token_url),
        TokenEndpoint(url=issuer.token_url, issuer=issuer.url),
    ):
        with pytest.raises(ValueError, match="give the issuer alone"):
            ann.get_token(endpoint)
    with pytest.raises(ValueError, match="its own credentials"):
        ann.get_token(TokenEndpoint(issuer=issuer.url), client_id="x")
    with pytest.raises(ValueError, match="a key in options"):
        ann.get_token(issuer.url, key="x")
    with pytest.raises(ValueError, match="client_id"):
        ann.get_token(issuer.url, client_secret="x")
    with pytest.raises(InsecureURL):
        ann.get_token("https://user:secret@tokens.example.com")


# ── the key itself ──────────────────────────────────────────────────────────────────────────────


def test_identities_of_textile_are_read_as_they_are():
    assert KeyIdentity.from_string(OLD) == KeyIdentity.from_string(NEW)
    assert str(KeyIdentity.from_string(OLD).public_key) == OLD_PUBLIC
    assert KeyIdentity.from_string(OLD).to_string() == NEW
    seed = KeyIdentity.from_string(SEED)
    assert str(seed.public_key) == SEED_PUBLIC
    assert seed.sign(bytes(range(0xFF, 0xDF, -1))).hex() == SEED_SIGNATURE


@pytest.mark.parametrize("kind", ["ed25519", "p256", "secp256k1"])
def test_an_identity_survives_being_written(kind, issuer, cache):
    made = KeyIdentity.generate(kind)
    read = KeyIdentity.from_string(made.to_string())
    assert (read, hash(read)) == (made, hash(made))
    assert read != KeyIdentity.generate(kind)
    assert str(read.get_token(issuer.url, cache=cache)) == f"for-{made.public_key}-1"


@pytest.mark.parametrize("text", ["", "x", SEED_PUBLIC, SEED[:-1]])
def test_what_is_no_private_key_is_none(text):
    with pytest.raises(ValueError, match=r"."):
        KeyIdentity.from_string(text)


def test_the_private_key_is_nowhere_but_where_it_is_asked_for(issuer, cache):
    ann = KeyIdentity.from_string(SEED)
    ann.get_token(issuer.url, cache=cache)
    issuer.answers = [Reply(400, {"error": "invalid_grant"})]
    with pytest.raises(TokenError) as refused:
        ann.get_token(issuer.url, audience="other", cache=cache)
    shown = [repr(ann), str(ann), f"{ann!r}", repr(ann.auth(issuer.url)), repr(ann.public_key)]
    shown.append("".join(traceback.format_exception(refused.value)))
    seed = SEED[8:50]
    assert [it for it in shown if seed in it] == []
    assert seed not in told(issuer.asked)
    assert SEED_PUBLIC in repr(ann)


def test_an_identity_is_not_pickled_by_accident(ann):
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(ann)


def test_the_example_of_the_page_is_run(issuer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ann.key").write_text(SEED)
    examples("docs/howto/let-keys-in.md")["python"].run({"https://tokens.example.com": issuer.url})
    assert capsys.readouterr().out == f"Authorization: Bearer for-{SEED_PUBLIC}-1\n"
