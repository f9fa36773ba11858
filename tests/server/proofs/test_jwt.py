"""Issuers we trust, and what their people may be called here."""

import re
from hashlib import sha256

import pytest

from tests.servers import Hands, Issuer
from tokenward.clock import now
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.errors import InvalidGrant, TemporarilyUnavailable
from tokenward.server.proofs import TooOld, Trusting, jwt
from tokenward.server.proofs.jwt import Jwt
from tokenward.server.subjects import Subjects

AUDIENCE = "us"


@pytest.fixture
def friend():
    with Issuer(SigningKey.generate("ES256")).serving() as friend:
        yield friend


def trusted(friend, *, name="mobile", taken=(), **settings):
    settings = {"issuer": friend.url, "audience": AUDIENCE} | settings
    trusting = Trusting(name=name, default="itwin", taken=frozenset(taken), clock=now)
    return Jwt(**settings).trusted(trusting)


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


# ── what the operator reads ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"sub": ...}, "sub: missing"),
        ({"sub": "x" * 1_001}, "sub: too long, or not printable"),
        ({"sub": "a\nb"}, "sub: too long, or not printable"),
        ({"sub": "a\x00"}, "sub: too long, or not printable"),
        ({"cnf": {"jkt": "x"}}, "cnf: bound to a key, so not to be shown by just anybody"),
        ({"cnf": None}, "cnf: bound to a key, so not to be shown by just anybody"),
        ({"aud": "them"}, "aud: not for us"),
        ({"nbf": 9_999_999_999}, "nbf: not yet valid"),
        ({"exp": ...}, "exp: missing"),
    ],
)
async def test_each_fault_has_its_reason_and_all_sound_the_same(friend, claims, why):
    issuer, shown = trusted(friend), token(friend, **claims)
    for _ in range(2):
        with pytest.raises(InvalidGrant) as refused:
            await issuer.prove(shown, digest(shown))
        assert refused.value.detail == f"caller 'mobile': {why}"
        assert refused.value.description == "nobody we trust vouches for this token"
        assert not isinstance(refused.value, TooOld)


def digest(shown):
    return sha256(shown.encode()).digest()


async def test_the_reason_of_age_is_heard_by_the_caller_too(friend):
    issuer, shown = trusted(friend), token(friend, iat=1, exp=2)
    with pytest.raises(TooOld) as refused:
        await issuer.prove(shown, digest(shown))
    assert refused.value.description == "the token has expired"
    assert refused.value.detail == "caller 'mobile': exp: expired"


async def test_where_keys_are_and_why_they_are_not_to_be_had_is_the_operators_to_know(friend):
    friend.behaviour["*"] = "500"
    with pytest.raises(TemporarilyUnavailable) as away:
        await trusted(friend).prove(shown := token(friend), digest(shown))
    said = "the keys of the token's issuer cannot be had just now"
    assert away.value.description == said
    assert away.value.detail.startswith("caller 'mobile': the issuer's keys are not to be had: ")


@pytest.mark.parametrize(
    "sub", ["x" * 1_000, "a|b", "Ann \u00c9", "auth0|5f7c8ec7c33c6c004bbafe82"]
)
async def test_what_people_may_be_called(friend, sub):
    caller = await trusted(friend).prove(shown := token(friend, sub=sub), digest(shown))
    assert caller.subject == f"mobile|{sub}"


async def test_only_raw_subjects_could_be_taken_for_anothers(friend):
    issuer = trusted(friend, taken=("nightly",))
    caller = await issuer.prove(shown := token(friend, sub="nightly"), digest(shown))
    assert caller.subject == "mobile|nightly"


@pytest.mark.parametrize("sub", ["nightly2", "night", "Nightly", "x|nightly", "|nightly"])
async def test_raw_subjects_that_are_nearly_anothers_are_their_own(friend, sub):
    raw = trusted(friend, subject="raw", taken=("nightly", "other"))
    caller = await raw.prove(shown := token(friend, sub=sub), digest(shown))
    assert caller.subject == sub


async def test_the_tokens_of_others_concern_nobody(friend):
    issuer, shown = trusted(friend), token(friend, iss="https://other.example")
    assert await issuer.prove(shown, digest(shown)) is None
    assert issuer.recall(digest(shown)) is None
    assert await issuer.prove("no token", digest("no token")) is None
    assert friend.asked == []


async def test_what_was_believed_is_recalled_by_its_digest_alone(friend):
    issuer, shown = trusted(friend), token(friend)
    assert issuer.recall(digest(shown)) is None
    caller = await issuer.prove(shown, digest(shown))
    assert issuer.recall(digest(shown)) is caller
    assert issuer.recall(digest(shown + "x")) is None


# ── tokens of our own, which can be revoked ──────────────────────────────────────────────────────


def revocable(friend, gone):
    asked = []

    async def revoked(iss, jti):
        asked.append((iss, jti))
        return jti in gone

    settings = Jwt(issuer=friend.url, audience=AUDIENCE)
    issuer = settings.trusted(Trusting(name="ours", clock=now, revoked=revoked))
    return issuer, asked


async def test_what_was_revoked_is_not_believed_even_if_it_was_a_moment_ago(friend):
    gone = set()
    issuer, asked = revocable(friend, gone)
    shown = token(friend, jti="it")
    assert (await issuer.prove(shown, digest(shown))).subject == "ours|ann"
    assert issuer.recall(digest(shown)) is None  # else it would not be asked
    gone.add("it")
    with pytest.raises(InvalidGrant) as refused:
        await issuer.prove(shown, digest(shown))
    assert refused.value.detail == "caller 'ours': revoked"
    assert refused.value.description == "nobody we trust vouches for this token"
    assert asked == [(friend.url, "it")] * 2


async def test_a_token_without_a_name_cannot_be_revoked_by_one(friend):
    issuer, asked = revocable(friend, {"None", "XXXX"})
    shown = token(friend)
    assert (await issuer.prove(shown, digest(shown))).subject == "ours|ann"
    assert asked == [(friend.url, "")]


# ── settings, at their edges ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"audience": ""}, "audience: is needed; without it any token of that issuer would do"),
        ({"algorithms": frozenset()}, "algorithms: at least one is needed"),
        (
            {"algorithms": frozenset({"none", "ES256", "HS256"})},
            (
                "algorithms: HS256, none: not one of ES256, ES384, ES512, Ed25519, EdDSA, PS256, "
                "PS384, PS512, RS256, RS384, RS512"
            ),
        ),
        (
            {"typ": frozenset({"at+jwt", "application/x", "JWT"})},
            (
                "typ: JWT, application/x: written in lower case and without application/, "
                'such as "at+jwt"'
            ),
        ),
        ({"leeway": -0.001}, "leeway: must be between 0 and 300 seconds"),
        ({"leeway": 300.001}, "leeway: must be between 0 and 300 seconds"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_in_these_words(settings, said):
    with pytest.raises(ValueError, match="^" + re.escape(said) + "$"):
        Jwt(**{"issuer": "https://issuer.example", "audience": "us"} | settings)


@pytest.mark.parametrize("settings", [{"leeway": 0}, {"leeway": 300}, {"typ": frozenset({"x"})}])
def test_settings_at_their_edges_are_settings(settings):
    assert Jwt(issuer="https://issuer.example", audience="us", **settings)


async def test_each_setting_reaches_the_proof(friend):
    issuer = trusted(
        friend,
        jwks_uri=friend.jwks_uri,
        algorithms=frozenset({"ES256"}),
        typ=frozenset({"secevent+jwt"}),
        leeway=7.0,
    )
    expected = issuer.verifier.expected
    assert (expected.issuer, expected.audience) == (friend.url, AUDIENCE)
    assert (expected.algorithms, expected.leeway) == ({"ES256"}, 7.0)
    assert expected.typ == {"secevent+jwt"}
    good = friend.token(typ="secevent+jwt", aud=AUDIENCE, sub="ann")
    assert await issuer.prove(good, digest(good))
    assert friend.asked == ["/jwks"]
    with pytest.raises(InvalidGrant):
        await issuer.prove(shown := token(friend), digest(shown))


async def test_a_proof_goes_by_the_clock_it_was_given(friend):
    hands = Hands()
    settings = Jwt(issuer=friend.url, audience=AUDIENCE, leeway=7.0)
    issuer = settings.trusted(Trusting(name="mobile", clock=hands))
    shown = token(friend, iat=int(hands()) - 1, exp=int(hands()) + 60)
    hands.now = float(int(hands()))
    hands.forward(66.5)
    assert await issuer.prove(shown, digest(shown))
    hands.forward(0.5)
    with pytest.raises(TooOld):
        await issuer.prove(shown, digest(shown))


async def test_memory_holds_as_many_as_it_may_and_then_begins_anew(friend, monkeypatch):
    monkeypatch.setattr(jwt, "REMEMBER", 3)
    issuer, sizes = trusted(friend), []
    for number in range(5):
        shown = token(friend, sub=str(number))
        await issuer.prove(shown, digest(shown))
        sizes.append(len(issuer._known))
    assert sizes == [1, 2, 3, 1, 2]
