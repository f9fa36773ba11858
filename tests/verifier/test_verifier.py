"""Tokens of one issuer for one audience are believed; nothing else is, and nothing hangs."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import JWKS, SECRET_TEXT, Hands, Issuer, until, until_now
from tokenward.jose.jws import LONGEST
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.remote.fetch import open_async_client, open_client
from tokenward.remote.keysets import COOLDOWN, PAUSE, TRUSTED, RemoteKeys
from tokenward.verifier import (
    Expired,
    InvalidToken,
    KeysUnavailable,
    RemoteError,
    UnknownKey,
    Verifier,
)
from tokenward.verifier import verifier as verifying
from tokenward.verifier.verifier import LONGEST_REMEMBERED, digest_of


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def verifier(issuer, hands):
    return Verifier(issuer.url, "api", clock=hands)


def by_threads(verifier, token):
    return verifier.verify(token, wait=True)


def by_tasks(verifier, token):
    return asyncio.run(verifier.averify(token))


@pytest.fixture(params=[by_threads, by_tasks])
def verify(request):
    return request.param


# ── believing ──


def test_a_good_token_is_believed(issuer, verifier, verify):
    claims = verify(verifier, issuer.token())
    assert claims["sub"] == "user|1"
    assert issuer.count() == 1


def test_claims_are_read_only(issuer, verifier, verify):
    claims = verify(verifier, issuer.token())
    with pytest.raises(TypeError):
        claims["sub"] = "somebody else"


def test_auth0_lists_two_audiences(issuer, verifier, verify):
    token = issuer.token(aud=["api", "https://dev-x.us.auth0.com/userinfo"])
    assert verify(verifier, token)["aud"] == ["api", "https://dev-x.us.auth0.com/userinfo"]


def test_fixed_keys_need_no_server(key, verify):
    issuer = Issuer(key)
    issuer._server.server_close()
    verifier = Verifier(issuer.url, "api", keys=KeySet((key.verifying_key(),)))
    assert verify(verifier, issuer.token())
    assert verifier.verify(issuer.token(sub="another"))


def test_a_configured_jwks_uri_is_used(issuer, verify):
    verifier = Verifier("an exact string", "api", jwks_uri=issuer.jwks_uri)
    assert verify(verifier, issuer.token(iss="an exact string"))
    assert issuer.asked == [JWKS]


def test_one_key_set_serves_two_audiences(issuer, verify):
    keys = RemoteKeys(issuer.url)
    for audience in ("api", "other"):
        assert verify(Verifier(issuer.url, audience, keys=keys), issuer.token(aud=audience))
    assert issuer.count() == 1


REFUSED = {
    "no audience": {"aud": ...},
    "another audience": {"aud": "another"},
    "an audience that begins like ours": {"aud": "api-admin"},
    "an audience that ours begins with": {"aud": "ap"},
    "a list of other audiences": {"aud": ["apis", "ap"]},
    "an empty list of audiences": {"aud": []},
    "a nested audience": {"aud": [["api"]]},
    "an audience that is an object": {"aud": {"api": True}},
    "an audience that is null": {"aud": None},
    "no issuer": {"iss": ...},
    "another issuer": {"iss": "https://other.example"},
    "an issuer that is a list": {"iss": ["https://other.example"]},
    "no expiry": {"exp": ...},
    "an expiry that is null": {"exp": None},
    "an expiry that is a string": {"exp": "9999999999"},
    "an expiry in milliseconds": {"exp": 99999999999999},
    "not yet valid": {"nbf": 9999999999},
    "from the future": {"iat": 9999999999, "exp": 99999999999},
    "a subject that is a number": {"sub": 1},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_that_says_something_else_is_refused(issuer, verifier, verify, name):
    assert verify(verifier, issuer.token())
    token = issuer.token(**REFUSED[name])
    for _ in range(2):  # nor is it believed the second time
        with pytest.raises(InvalidToken) as caught:
            verify(verifier, token)
        assert not isinstance(caught.value, UnknownKey)
        assert token not in str(caught.value)


@pytest.mark.parametrize("change", [lambda it: it + "/", lambda it: it[:-1], str.upper])
def test_issuers_are_compared_exactly(issuer, verifier, change, verify):
    verifier.load()
    with pytest.raises(InvalidToken, match="iss"):
        verify(verifier, issuer.token(iss=change(issuer.url)))


def test_an_expired_token_is_refused_as_expired(issuer, verifier, hands, verify):
    token = issuer.token()
    verify(verifier, token)
    hands.forward(620)
    with pytest.raises(Expired):
        verify(verifier, token)


def test_an_id_token_is_not_an_access_token(issuer, verifier, verify):
    with pytest.raises(InvalidToken, match="typ"):
        verify(verifier, issuer.token(typ="id+jwt"))


def test_other_algorithms_than_those_allowed_are_refused(issuer, verify):
    verifier = Verifier(issuer.url, "api", algorithms=["RS256"])
    with pytest.raises(InvalidToken, match="alg"):
        verify(verifier, issuer.token())


def test_claims_may_be_required(issuer, verify):
    verifier = Verifier(issuer.url, "api", required=["client_id"])
    assert verify(verifier, issuer.token(client_id="c"))
    with pytest.raises(InvalidToken, match="client_id: missing"):
        verify(verifier, issuer.token())


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": ()},
        {"audience": ("api", "")},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"leeway": -1},
        {"keys": KeySet()},
        {"issuer": "http://issuer.example"},
        {"jwks_uri": "http://issuer.example/keys"},
    ],
)
def test_a_verifier_that_would_believe_anything_cannot_be_made(settings):
    settings = {"issuer": "https://issuer.example", "audience": "api"} | settings
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        Verifier(settings.pop("issuer"), settings.pop("audience"), **settings)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b.c", "x" * 20_000, "\u00e9.b.c", "\ud800", None, b"a.b.c", 7, []],
)
def test_what_is_no_token_is_refused_without_asking_anybody(issuer, verifier, verify, token):
    with pytest.raises(InvalidToken):
        verify(verifier, token)
    assert issuer.asked == []


@given(token=st.text(max_size=200) | st.binary(max_size=50) | st.none() | st.integers())
def test_nothing_but_invalid_token_leaves(token):
    verifier = Verifier("https://issuer.invalid", "api", jwks_uri="http://127.0.0.1:1/")
    with pytest.raises(InvalidToken):
        verifier.verify(token)


# ── answering at once ──


def test_verify_never_asks_anybody(issuer, verifier):
    with pytest.raises(KeysUnavailable):
        verifier.verify(issuer.token())
    assert issuer.asked == []
    verifier.load()
    assert verifier.verify(issuer.token())
    stranger = SigningKey.generate("ES256", kid="stranger")
    with pytest.raises(UnknownKey) as caught:
        verifier.verify(issuer.token(key=stranger))
    assert not isinstance(caught.value, KeysUnavailable)
    assert issuer.count() == 1


async def test_keys_can_be_loaded_at_start(issuer, verifier):
    await verifier.aload()
    assert verifier.verify(issuer.token())
    assert issuer.count() == 1


async def test_loading_at_start_says_what_is_wrong(issuer, verifier):
    issuer.behaviour["*"] = "500"
    with pytest.raises(RemoteError, match="answered 500"):
        await verifier.aload()
    with pytest.raises(RemoteError, match="answered 500"):
        verifier.load()


def test_other_issuers_tokens_are_no_reason_to_ask(issuer, verifier, verify):
    stranger = SigningKey.generate("ES256", kid="stranger")
    with pytest.raises(InvalidToken, match="iss"):
        verify(verifier, issuer.token(key=stranger, iss="https://other.example"))
    assert issuer.asked == []


# ── keys that come and go ──


def test_a_new_key_works_at_once(issuer, verifier, verify, other_key):
    verify(verifier, issuer.token())
    issuer.keys.append(other_key)
    assert verify(verifier, issuer.token(key=other_key))
    assert issuer.count() == 2


def test_a_storm_of_unknown_keys_is_damped(issuer, verifier, verify, hands):
    verify(verifier, issuer.token())
    for number in range(30):
        stranger = SigningKey.generate("ES256", kid=f"stranger-{number}")
        with pytest.raises(UnknownKey):
            verify(verifier, issuer.token(key=stranger))
    assert issuer.count() == 2
    hands.forward(COOLDOWN)
    with pytest.raises(UnknownKey):
        verify(verifier, issuer.token(key=SigningKey.generate("ES256", kid="late")))
    assert issuer.count() == 3


def test_a_storm_while_the_keys_are_down_is_damped_and_nobody_can_tell(issuer, verifier, verify):
    issuer.behaviour["*"] = "503"
    for _ in range(30):
        with pytest.raises(KeysUnavailable) as caught:
            verify(verifier, issuer.token())
        assert caught.value.retry_after == PAUSE
        assert SECRET_TEXT not in str(caught.value)
    assert len(issuer.asked) == 1


@pytest.mark.parametrize(
    "habit", ["500", "429", "html", "empty", "huge", "redirect", "other_issuer"]
)
def test_broken_keys_recover_quickly(issuer, verifier, verify, hands, habit):
    issuer.behaviour["*"] = habit
    with pytest.raises(KeysUnavailable):
        verify(verifier, issuer.token())
    issuer.behaviour.clear()
    hands.forward(PAUSE)
    assert verify(verifier, issuer.token())


def test_a_withdrawn_key_is_not_believed_after_the_next_fetch(
    issuer, verifier, hands, verify, other_key
):
    issuer.keys.append(other_key)
    old = issuer.token(exp=int(hands()) + 9_999)
    verify(verifier, old)
    assert verifier.recall(digest_of(old))
    issuer.keys.pop(0)
    hands.forward(600)
    verifier.load()
    assert verifier.recall(digest_of(old)) is None
    with pytest.raises(UnknownKey):
        verify(verifier, old)


def test_symmetric_keys_in_the_key_set_are_no_keys(issuer, verifier, verify):
    issuer.keys.clear()
    issuer.entries = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0" * 8, "alg": "HS256"}]
    with pytest.raises(InvalidToken):
        verify(verifier, issuer.token(key=SigningKey.generate("ES256", kid="shared")))


def test_a_key_id_twice_is_tried_twice(issuer, verifier, verify):
    twin = SigningKey.generate("ES256", kid="first")
    issuer.keys.append(twin)
    assert verify(verifier, issuer.token())
    assert verify(verifier, issuer.token(key=twin))
    with pytest.raises(InvalidToken, match="signature"):
        verify(verifier, issuer.token(key=SigningKey.generate("ES256", kid="first")))


def test_two_issuers_do_not_vouch_for_each_other(issuer, other_key, verify):
    with Issuer(other_key).serving() as other:
        ours, theirs = Verifier(issuer.url, "api"), Verifier(other.url, "api")
        assert verify(ours, issuer.token())
        assert verify(theirs, other.token())
        for verifier, token in [
            (ours, other.token()),
            (theirs, issuer.token()),
            (ours, issuer.token(key=other_key)),
            (theirs, other.token(key=issuer.keys[0])),
        ]:
            with pytest.raises(InvalidToken):
                verify(verifier, token)


async def test_known_keys_work_while_a_refetch_hangs(issuer, verifier, hands):
    await verifier.aload()
    issuer.behaviour[JWKS] = "hang"
    hands.forward(599)
    stranger = issuer.token(key=SigningKey.generate("ES256", kid="stranger"))
    waiting = asyncio.create_task(verifier.averify(stranger))
    await until(lambda: issuer.count() == 2)
    hands.forward(1)
    for number in range(20):
        token = issuer.token(sub=str(number), exp=int(hands()) + 600)
        assert await asyncio.wait_for(verifier.averify(token), 10)
    issuer.let_go.set()
    with pytest.raises(UnknownKey):
        await waiting
    assert issuer.count() == 2


def test_known_keys_work_in_threads_while_a_refetch_hangs(issuer, verifier, hands):
    verifier.load()
    issuer.behaviour[JWKS] = "hang"
    hands.forward(600)
    started = time.monotonic()
    for number in range(20):
        token = issuer.token(sub=str(number), exp=int(hands()) + 600)
        assert verifier.verify(token, wait=True)
    assert time.monotonic() - started < 10
    until_now(lambda: issuer.count() == 2)
    issuer.let_go.set()
    verifier.load()
    assert issuer.count() == 2


async def test_old_keys_are_renewed_in_the_background(issuer, verifier, hands, other_key):
    await verifier.averify(issuer.token())
    issuer.keys.append(other_key)
    hands.forward(600)
    await verifier.averify(issuer.token(exp=int(hands()) + 600))
    await verifier.aload()
    assert verifier.verify(issuer.token(key=other_key, exp=int(hands()) + 600))
    assert issuer.count() == 2


def test_keys_nobody_confirmed_for_a_day_are_not_believed(issuer, verifier, hands, verify):
    verify(verifier, issuer.token())
    issuer.behaviour["*"] = "500"
    hands.forward(TRUSTED)
    with pytest.raises(KeysUnavailable):
        verify(verifier, issuer.token(exp=int(hands()) + 600))


async def test_a_cold_crowd_of_a_hundred_is_one_fetch(issuer, verifier):
    tokens = [issuer.token(sub=str(number)) for number in range(100)]
    issuer.behaviour[JWKS] = "hang"
    crowd = [asyncio.create_task(verifier.averify(token)) for token in tokens]
    await until(issuer.count)
    issuer.let_go.set()
    answers = await asyncio.gather(*crowd)
    assert [claims["sub"] for claims in answers] == [str(number) for number in range(100)]
    assert issuer.count() == 1


def test_a_cold_crowd_of_a_hundred_threads_is_one_fetch(issuer, verifier):
    issuer.behaviour[JWKS] = "hang"
    answers = []

    def ask(number):
        answers.append(verifier.verify(issuer.token(sub=str(number)), wait=True)["sub"])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    until_now(issuer.count)
    issuer.let_go.set()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=int) == [str(number) for number in range(100)]
    assert issuer.count() == 1


# ── remembering ──


def test_a_verified_token_is_remembered_by_its_digest(issuer, verifier):
    token = issuer.token()
    assert verifier.recall(sha256(token.encode()).digest()) is None
    claims = verifier.verify(token, wait=True)
    assert verifier.recall(sha256(token.encode()).digest()) is claims
    assert verifier.verify(token) is claims
    assert by_tasks(verifier, token) is claims


def test_a_refused_token_is_not_remembered(issuer, verifier):
    verifier.load()
    token = issuer.token(aud="another")
    with pytest.raises(InvalidToken):
        verifier.verify(token)
    assert verifier.recall(digest_of(token)) is None
    assert not verifier._kept


def test_a_token_is_forgotten_when_it_expires(issuer, verifier, hands):
    hands.now = int(hands.now)
    token = issuer.token(iat=int(hands()) - 1, exp=int(hands()) + 60)
    verifier.verify(token, wait=True)
    hands.forward(59)
    assert verifier.recall(digest_of(token))
    hands.forward(1)
    assert verifier.recall(digest_of(token)) is None
    assert verifier.verify(token)  # within the leeway, but looked at every time
    assert verifier.recall(digest_of(token)) is None
    hands.forward(10)
    with pytest.raises(Expired):
        verifier.verify(token)


def test_a_token_is_forgotten_with_the_keys_max_age(issuer, verifier, hands):
    token = issuer.token(exp=int(hands()) + 9_999)
    verifier.verify(token, wait=True)
    hands.forward(599)
    assert verifier.recall(digest_of(token))
    hands.forward(1)
    assert verifier.recall(digest_of(token)) is None


def test_a_clock_that_is_set_back_makes_us_look_again(issuer, verifier, hands):
    token = issuer.token()
    verifier.verify(token, wait=True)
    hands.forward(-3_600)
    assert verifier.recall(digest_of(token)) is None
    with pytest.raises(InvalidToken, match="iat"):
        verifier.verify(token)


def test_only_so_many_are_remembered_the_latest_used(issuer):
    verifier = Verifier(issuer.url, "api", remember=3)
    verifier.load()
    tokens = [issuer.token(sub=str(number)) for number in range(4)]
    for token in tokens[:3]:
        verifier.verify(token)
    verifier.verify(tokens[0])
    verifier.verify(tokens[3])
    known = [verifier.recall(digest_of(token)) is not None for token in tokens]
    assert known == [True, False, True, True]
    assert len(verifier._kept) == 3


def test_nothing_is_remembered_if_that_is_wished(issuer):
    verifier = Verifier(issuer.url, "api", remember=0)
    token = issuer.token()
    assert verifier.verify(token, wait=True)
    assert not verifier._kept


def test_one_may_be_remembered(issuer):
    verifier = Verifier(issuer.url, "api", remember=1)
    first, second = issuer.token(sub="1"), issuer.token(sub="2")
    for token in (first, second):
        assert verifier.verify(token, wait=True)
        assert list(verifier._kept) == [digest_of(token)]


def test_whoever_asks_first_it_is_remembered_for_all(issuer, verifier, verify):
    token = issuer.token()
    claims = verify(verifier, token)
    assert verifier.recall(digest_of(token)) is claims
    assert list(verifier._kept) == [digest_of(token)]


def test_what_no_longer_holds_takes_no_room(issuer, verifier, hands):
    tokens = [issuer.token(sub=str(number)) for number in range(2)]
    for token in tokens:
        verifier.verify(token, wait=True)
    hands.forward(600)
    assert verifier.recall(digest_of(tokens[0])) is None
    assert list(verifier._kept) == [digest_of(tokens[1])]
    assert verifier.recall(digest_of(tokens[0])) is None  # and nobody minds


@pytest.mark.parametrize(("longest", "kept"), [(0, True), (-1, False), (1, True)])
def test_the_longest_that_is_remembered(issuer, verifier, monkeypatch, longest, kept):
    token = issuer.token()
    monkeypatch.setattr(verifying, "LONGEST_REMEMBERED", len(token) + longest)
    assert verifier.verify(token, wait=True)
    assert bool(verifier._kept) is kept


def test_what_can_be_a_token_has_a_digest_and_nothing_else_has():
    assert digest_of("x" * LONGEST) == sha256(b"x" * LONGEST).digest()
    with pytest.raises(InvalidToken, match=r"^too long$"):
        digest_of("x" * (LONGEST + 1))
    for odd in ("\u00e9", "\ud800", None, b"x", 7):
        with pytest.raises(InvalidToken, match=r"^not a string of ASCII characters$"):
            digest_of(odd)


@pytest.mark.parametrize("typ", ["at+jwt", "id+jwt", "secevent+jwt", "x"])
def test_every_kind_is_believed_if_that_is_wished(issuer, verify, typ):
    verifier = Verifier(issuer.url, "api", typ=None)
    assert verify(verifier, issuer.token(typ=typ))


def test_a_kind_may_be_demanded(issuer, verify):
    verifier = Verifier(issuer.url, "api", typ=["id+jwt"])
    assert verify(verifier, issuer.token(typ="id+jwt"))
    with pytest.raises(InvalidToken, match="typ"):
        verify(verifier, issuer.token())


def test_keys_are_fetched_with_the_clients_one_brings(issuer):
    made = []

    def threads():
        made.append("threads")
        return open_client()

    def tasks():
        made.append("tasks")
        return open_async_client()

    for verify in (by_threads, by_tasks):
        verifier = Verifier(issuer.url, "api", client=threads, async_client=tasks)
        assert verify(verifier, issuer.token())
    assert made == ["threads", "tasks"]


def test_a_key_set_without_keys_is_said_to_be_that():
    with pytest.raises(ValueError, match=r"^a key set without keys$"):
        Verifier("https://issuer.example", "api", keys=KeySet())


def test_why_the_keys_are_not_to_be_had_is_said(issuer, verifier, hands, verify):
    with pytest.raises(KeysUnavailable) as caught:
        verifier.verify(issuer.token())
    assert str(caught.value) == "the issuer's keys are not to be had: not fetched yet"
    assert caught.value.retry_after == 1
    issuer.behaviour["*"] = "500"
    for _ in range(2):  # when it happens, and when it is remembered
        with pytest.raises(KeysUnavailable) as caught:
            verify(verifier, issuer.token())
        assert re.fullmatch(
            r"the issuer's keys are not to be had: .*answered 500.*", str(caught.value)
        )
    assert KeysUnavailable("away").retry_after == 1


def test_large_tokens_are_not_remembered(issuer, verifier):
    token = issuer.token(padding="x" * LONGEST_REMEMBERED)
    assert verifier.verify(token, wait=True)
    assert not verifier._kept


def test_a_token_that_differs_in_one_bit_is_not_recalled(issuer, verifier):
    token = issuer.token()
    verifier.verify(token, wait=True)
    for changed in (token + "A", token[:-1], token.swapcase(), token + "=", f" {token}"):
        with pytest.raises(InvalidToken):
            verifier.verify(changed)


def test_many_threads_may_remember_and_forget_at_once(issuer):
    verifier = Verifier(issuer.url, "api", remember=5)
    verifier.load()
    tokens = [issuer.token(sub=str(number)) for number in range(20)]
    wrong = []

    def hammer(start):
        for step in range(300):
            number = (start + step * 7) % 20
            if verifier.verify(tokens[number])["sub"] != str(number):
                wrong.append(number)

    threads = [threading.Thread(target=hammer, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(verifier._kept) <= 5


def test_a_verifier_shows_no_more_than_whom_it_believes(verifier, issuer):
    verifier.verify(issuer.token(), wait=True)
    assert repr(verifier) == f"Verifier({issuer.url!r}, 'api')"


def test_verifying_needs_no_framework():
    program = """
import sys
import tokenward.verifier
heavy = {"fastapi", "pydantic", "starlette", "uvicorn", "jinja2", "rich", "joserfc"}
sys.exit(", ".join(heavy & set(sys.modules)) or 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
