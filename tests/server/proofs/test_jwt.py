"""Issuers we trust, and what their people may be called here."""

import pytest

from tests.servers import Issuer
from tokenward.clock import now
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.errors import InvalidGrant, TemporarilyUnavailable
from tokenward.server.proofs import jwt
from tokenward.server.proofs.jwt import Jwt
from tokenward.server.subjects import Subjects

AUDIENCE = "us"


@pytest.fixture
def friend():
    with Issuer(SigningKey.generate("ES256")).serving() as friend:
        yield friend


def trusted(friend, *, name="mobile", taken=(), **settings):
    settings = {"issuer": friend.url, "audience": AUDIENCE} | settings
    return Jwt(**settings).trusted(name=name, default="itwin", taken=frozenset(taken), clock=now)


def token(friend, **claims):
    return friend.token(**{"aud": AUDIENCE, "sub": "ann"} | claims)


async def test_people_get_a_name_that_nobody_else_can_have(friend):
    caller = await Subjects((trusted(friend),)).prove(token(friend))
    assert (caller.name, caller.subject, caller.default) == ("mobile", "mobile|ann", "itwin")
    assert caller.claims["sub"] == "ann"
    assert caller.expires_at == caller.claims["exp"]


async def test_raw_subjects_are_as_the_issuer_says(friend):
    raw = trusted(friend, subject="raw", taken=("nightly", "other"))
    assert (await Subjects((raw,)).prove(token(friend, sub="auth0|ann"))).subject == "auth0|ann"


@pytest.mark.parametrize("sub", ["nightly", "other", "other|bob", "other|"])
async def test_raw_subjects_cannot_take_the_name_of_a_client_or_of_anothers_people(friend, sub):
    raw = trusted(friend, subject="raw", taken=("nightly", "other"))
    for _ in range(2):  # the second time, the token is remembered
        with pytest.raises(InvalidGrant) as refused:
            await Subjects((raw,)).prove(token(friend, sub=sub))
        assert "belongs to another" in refused.value.detail


async def test_one_issuer_may_vouch_for_two_audiences(friend):
    subjects = Subjects(
        (trusted(friend, name="first", audience="a"), trusted(friend, name="second", audience="b"))
    )
    assert (await subjects.prove(token(friend, aud="b"))).name == "second"
    assert (await subjects.prove(token(friend, aud=["x", "a"]))).name == "first"
    with pytest.raises(InvalidGrant):
        await subjects.prove(token(friend, aud="c"))


async def test_a_remembered_token_asks_nobody_and_costs_no_verification(friend):
    subjects, shown = Subjects((trusted(friend),)), token(friend)
    first = await subjects.prove(shown)
    asked = list(friend.asked)
    friend.behaviour["*"] = "500"
    assert await subjects.prove(shown) == first
    assert friend.asked == asked


async def test_an_issuer_nobody_trusts_is_never_asked(friend):
    with Issuer(SigningKey.generate("ES256")).serving() as stranger:
        with pytest.raises(InvalidGrant):
            await Subjects((trusted(friend),)).prove(token(stranger))
        assert stranger.asked == []
        assert friend.asked == []


async def test_keys_that_cannot_be_had_are_not_the_callers_fault(friend):
    friend.behaviour["*"] = "500"
    subjects = Subjects((trusted(friend),))
    with pytest.raises(TemporarilyUnavailable) as refused:
        await subjects.prove(token(friend))
    assert "keys" in refused.value.description


async def test_keys_may_be_in_the_configuration(friend):
    keys = KeySet(tuple(key.verifying_key() for key in friend.keys))
    subjects = Subjects((trusted(friend, keys=keys),))
    assert (await subjects.prove(token(friend))).subject == "mobile|ann"
    assert friend.asked == []


async def test_expiry_is_said_and_no_other_fault_is(friend):
    subjects = Subjects((trusted(friend),))
    with pytest.raises(InvalidGrant) as expired:
        await subjects.prove(token(friend, iat=1, exp=2))
    assert "expired" in expired.value.description
    said = set()
    for fault in ({"aud": "x"}, {"sub": ...}, {"nbf": now() + 999}, {"exp": "soon"}):
        with pytest.raises(InvalidGrant) as refused:
            await subjects.prove(token(friend, **fault))
        said.add(refused.value.description)
    with pytest.raises(InvalidGrant) as refused:
        await subjects.prove(friend.token(key=SigningKey.generate("ES256"), aud=AUDIENCE))
    assert said == {refused.value.description}


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"audience": ""}, "audience"),
        ({"algorithms": frozenset({"HS256"})}, "HS256"),
        ({"algorithms": frozenset({"none"})}, "none"),
        ({"leeway": -1}, "leeway"),
        ({"leeway": 100_000}, "leeway"),
    ],
)
def test_settings_that_would_believe_anybody_are_refused(friend, settings, part):
    with pytest.raises(ValueError, match=part):
        Jwt(**{"issuer": friend.url, "audience": "us"} | settings)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "application/at+jwt"])
async def test_access_tokens_have_these_types(friend, typ):
    shown = friend.token(typ=typ, aud=AUDIENCE, sub="ann")
    assert await Subjects((trusted(friend),)).prove(shown)


@pytest.mark.parametrize(
    "typ", ["dpop+jwt", "logout+jwt", "token-introspection+jwt", "secevent+jwt"]
)
async def test_a_jwt_that_is_something_else_is_no_access_token(friend, typ):
    with pytest.raises(InvalidGrant):
        await Subjects((trusted(friend),)).prove(friend.token(typ=typ, aud=AUDIENCE, sub="ann"))


async def test_the_same_token_is_the_same_caller_and_no_other_token_is(friend):
    subjects, shown = Subjects((trusted(friend),)), token(friend, role="admin")
    first = await subjects.prove(shown)

    assert await subjects.prove(shown) is first
    second = await subjects.prove(token(friend, role="user"))
    assert (second.subject, second.claims["role"]) == (first.subject, "user")
    assert (await subjects.prove(shown)).claims["role"] == "admin"


async def test_memory_of_callers_is_bounded(friend, monkeypatch):
    monkeypatch.setattr(jwt, "REMEMBER", 4)
    issuer = trusted(friend)
    for number in range(20):
        caller = await Subjects((issuer,)).prove(token(friend, sub=str(number)))
        assert caller.subject == f"mobile|{number}"
        assert len(issuer._known) <= 4
