"""Issuers that are asked about their tokens, which nobody else can read (RFC 7662)."""

import asyncio
import json
import logging
from base64 import b64encode
from hashlib import sha256

import pytest

from tests.servers import Hands
from tests.upstream import THEIRS, Upstream, hangs_up, says, silent
from tests.world import FILE
from tokenward.jose.keys import SigningKey
from tokenward.oauth.errors import InvalidGrant, TemporarilyUnavailable
from tokenward.remote.fetch import open_async_client
from tokenward.server import inquiries
from tokenward.server.proofs import NOT_VOUCHED_FOR, TooOld, Trusting
from tokenward.server.proofs.introspection import Introspection
from tokenward.server.subjects import Subjects

TOKEN = "ptn_" + "t" * 40
SECRET = "introspection-" + "s" * 30


@pytest.fixture
def issuer():
    with Upstream() as issuer:
        issuer.metadata = {"introspection_endpoint": f"{issuer.url}/introspect"}
        yield issuer


@pytest.fixture
def clock():
    return Hands()


class Asked:
    """A proof, with what it needs, and an issuer that answers as it is told to."""

    def __init__(self, server, http, clock, **settings):
        said = {"issuer": server.url, "client_id": "us", "client_secret": SECRET, "audience": "us"}
        self.issuer, self.clock = server, clock
        self.settings = Introspection(**said | {"token_prefix": "ptn_"} | settings)
        trusting = Trusting(
            name="partner",
            default="itwin",
            taken=settings.get("taken", frozenset({"nightly"})),
            clock=clock,
            http=http,
        )
        self.proof = self.settings.trusted(trusting)
        self.answers()

    def answers(self, **said):
        """What it says from now on; ``...`` leaves a member out."""
        members = {"active": True, "sub": "ann", "aud": "us", "exp": int(self.clock()) + 600}
        members = {name: it for name, it in (members | said).items() if it is not ...}
        self.issuer.always = says(200, json.dumps(members), Content_Type="application/json")

    @property
    def count(self):
        return len(self.issuer.questions)

    async def prove(self, token=TOKEN):
        return await Subjects((self.proof,)).prove(token)


@pytest.fixture
async def asked(issuer, clock):
    async with open_async_client() as http:
        made = []

        def asked(**settings):
            made.append(Asked(issuer, http, clock, **settings))
            return made[-1]

        yield asked
        for one in made:
            await one.proof.close()


# ── what is asked, and of whom ───────────────────────────────────────────────────────────────────


async def test_the_issuer_says_whose_token_it_is(asked, issuer):
    it = asked()
    it.answers(scope="models:read models:write", client_id="app", username="Ann")
    caller = await it.prove()
    assert (caller.name, caller.subject, caller.default) == ("partner", "partner|ann", "itwin")
    assert caller.claims["scope"] == ["models:read", "models:write"]
    assert caller.claims["iss"] == issuer.url
    assert "active" not in caller.claims
    assert caller.expires_at == caller.claims["exp"]
    [question] = issuer.questions
    assert question.path == "/introspect"
    assert question.form == {"token": TOKEN, "token_type_hint": "access_token"}
    basic = b64encode(f"us:{SECRET}".encode()).decode()
    assert question.headers["authorization"] == f"Basic {basic}"


async def test_our_secret_may_go_into_the_form(asked, issuer):
    await asked(auth="client_secret_post").prove()
    [question] = issuer.questions
    assert "authorization" not in question.headers
    assert (question.form["client_id"], question.form["client_secret"]) == ("us", SECRET)


async def test_the_endpoint_is_looked_up_once_or_not_at_all(asked, issuer):
    it = asked()
    for number in range(3):
        await it.prove(f"{TOKEN}{number}")
    assert len(issuer.lookups) == 1
    told = asked(introspection_endpoint=f"{issuer.url}/elsewhere", issuer="their name")
    await told.prove(TOKEN + "told")
    assert len(issuer.lookups) == 1
    assert issuer.questions[-1].path == "/elsewhere"


@pytest.mark.parametrize(
    "token",
    [
        "other_" + "t" * 40,
        "PTN_" + "t" * 40,
        "x" + TOKEN,
        "",
        "ptn",
        "ptn_ä",
        "ptn_ t",
        "ptn_\n",
        "ptn_" + "t" * 8_192,
    ],
)
async def test_a_token_that_does_not_begin_as_theirs_do_is_never_shown_to_them(asked, token):
    it = asked()
    with pytest.raises(InvalidGrant) as refused:
        await it.prove(token)
    assert refused.value.description == NOT_VOUCHED_FOR
    assert it.count == 0
    assert it.issuer.lookups == []


async def test_a_jwt_of_another_issuer_is_never_shown_to_them(asked, issuer):
    key = SigningKey.generate("ES256")
    it = asked(token_prefix="")
    for other in ("https://other.example", issuer.url + "/", ""):
        with pytest.raises(InvalidGrant):
            await it.prove(key.sign({"iss": other, "sub": "ann"}))
    assert it.count == 0
    for own in (key.sign({"iss": issuer.url}), key.sign({"sub": "ann"}), "opaque"):
        await it.prove(own)
    assert it.count == 3


async def test_two_issuers_never_see_each_others_tokens(asked, issuer, clock):
    with Upstream() as other:
        async with open_async_client() as http:
            other.metadata = {"introspection_endpoint": f"{other.url}/introspect"}
            theirs = Asked(other, http, clock, token_prefix="oth_")
            subjects = Subjects((asked().proof, theirs.proof))
            await subjects.prove(TOKEN)
            await subjects.prove("oth_" + "t" * 40)
            with pytest.raises(InvalidGrant):
                await subjects.prove("nobodys_" + "t" * 40)
        assert [one.form["token"][:4] for one in issuer.questions] == ["ptn_"]
        assert [one.form["token"][:4] for one in other.questions] == ["oth_"]


# ── what is believed ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said",
    [
        {"aud": ["x", "us"]},
        {"iat": 0, "nbf": 0},
        {"token_type": "Bearer"},
        {"token_type": "bearer", "typ": "Bearer", "token_use": "access"},
        {"scope": ""},
        {"jti": "1", "client_id": "anything"},
    ],
)
async def test_these_are_good(asked, said):
    it = asked()
    it.answers(**said)
    assert (await it.prove()).subject == "partner|ann"


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"active": False}, "not active"),
        ({"exp": ...}, "exp: missing"),
        ({"exp": "4000000000"}, "exp: not a date"),
        ({"exp": True}, "exp: not a date"),
        ({"exp": None}, "exp: not a date"),
        ({"exp": -1}, "exp: not a date"),
        ({"nbf": 4_000_000_000}, "nbf: not yet valid"),
        ({"nbf": "soon"}, "nbf: not a date"),
        ({"iat": 4_000_000_000}, "iat: in the future"),
        ({"iss": "https://other.example"}, "iss: not the expected issuer"),
        ({"iss": None}, "iss: not the expected issuer"),
        ({"aud": ...}, "aud: missing"),
        ({"aud": "other"}, "aud: not for us"),
        ({"aud": ["other"]}, "aud: not for us"),
        ({"aud": []}, "aud: neither"),
        ({"aud": ["us", 1]}, "aud: neither"),
        ({"sub": ...}, "sub: missing"),
        ({"sub": ""}, "sub: not a string"),
        ({"sub": 7}, "sub: not a string"),
        ({"sub": "a\nb"}, "sub: too long, or not printable"),
        ({"sub": "a" * 1_001}, "sub: too long, or not printable"),
        ({"client_id": 7}, "client_id: not a string"),
        ({"scope": ["read"]}, "scope: not a string"),
        ({"scope": None}, "scope: not a string"),
        ({"cnf": {"jkt": "x"}}, "cnf: bound to a key"),
        ({"cnf": None}, "cnf: bound to a key"),
        ({"token_type": "DPoP"}, "token_type: another kind of token"),
        ({"token_type": "N_A"}, "token_type: another kind of token"),
        ({"token_type": "refresh_token"}, "token_type: another kind of token"),
        ({"token_type": None}, "token_type: another kind of token"),
        ({"typ": "Refresh"}, "typ: another kind of token"),
        ({"typ": "ID"}, "typ: another kind of token"),
        ({"token_use": "id_token"}, "token_use: another kind of token"),
    ],
)
async def test_what_is_not_good_is_refused_and_nobody_learns_why(asked, said, detail):
    it = asked()
    it.answers(**said)
    with pytest.raises(InvalidGrant) as refused:
        await it.prove()
    assert refused.value.description == NOT_VOUCHED_FOR
    assert refused.value.detail.startswith("caller 'partner': ")
    assert detail in refused.value.detail


async def test_expiry_is_said(asked, clock):
    it = asked()
    it.answers(exp=int(clock()) - 11)
    with pytest.raises(TooOld):
        await it.prove()


@pytest.mark.parametrize(
    ("settings", "said", "good"),
    [
        ({"clients": frozenset({"app"}), "audience": ""}, {"client_id": "app", "aud": ...}, True),
        ({"clients": frozenset({"app"}), "audience": ""}, {"client_id": "app", "aud": "x"}, True),
        ({"clients": frozenset({"app"}), "audience": ""}, {"client_id": "App"}, False),
        ({"clients": frozenset({"app"}), "audience": ""}, {}, False),
        ({"clients": frozenset({"app"})}, {"client_id": "app"}, True),
        ({"clients": frozenset({"app"})}, {"client_id": "app", "aud": "x"}, False),
        ({"clients": frozenset({"app"})}, {"client_id": "other"}, False),
    ],
)
async def test_tokens_of_some_applications_may_count_and_no_others(asked, settings, said, good):
    it = asked(**settings)
    it.answers(**said)
    if good:
        assert await it.prove()
        return
    with pytest.raises(InvalidGrant):
        await it.prove()


@pytest.mark.parametrize(("sub", "good"), [("ann", True), ("nightly", False), ("nightly|x", False)])
async def test_raw_subjects_cannot_take_the_name_of_another(asked, sub, good):
    it = asked(subject="raw")
    it.answers(sub=sub)
    if good:
        assert (await it.prove()).subject == sub
        return
    with pytest.raises(InvalidGrant, match="belongs to another"):
        await it.prove()


# ── what is remembered ───────────────────────────────────────────────────────────────────────────


async def test_an_answer_is_believed_for_a_while_and_then_asked_for_again(asked, clock):
    it = asked(remember=30.0)
    first = await it.prove()
    clock.forward(29.9)
    assert await it.prove() is first
    assert it.count == 1
    clock.forward(0.1)
    it.answers(active=False)
    with pytest.raises(InvalidGrant):
        await it.prove()
    assert it.count == 2


async def test_an_answer_is_never_believed_beyond_the_end_of_the_token(asked, clock):
    clock.now = float(int(clock()))
    it = asked(remember=300.0)
    it.answers(exp=int(clock()) + 20)
    await it.prove()
    clock.forward(20)
    assert it.proof.recall(sha256(TOKEN.encode()).digest()) is None


async def test_nothing_is_remembered_where_nothing_is_to_be(asked):
    it = asked(remember=0.0)
    await it.prove()
    await it.prove()
    assert it.count == 2


async def test_a_no_is_remembered_for_a_second(asked, clock):
    it = asked()
    it.answers(active=False)
    for _ in range(3):
        with pytest.raises(InvalidGrant):
            await it.prove()
    assert it.count == 1
    clock.forward(1.0)
    it.answers()
    assert await it.prove()
    assert it.count == 2


async def test_memory_goes_no_further_than_it_may(asked, monkeypatch):
    monkeypatch.setattr(inquiries, "MOST", 2)
    it = asked()
    for number in range(4):
        await it.prove(f"{TOKEN}{number}")
    it.answers(active=False)
    for number in range(4, 8):
        with pytest.raises(InvalidGrant):
            await it.prove(f"{TOKEN}{number}")
    assert len(it.proof.inquiries._known) == len(it.proof.inquiries._refused) == 2


async def test_nothing_that_is_remembered_is_the_token(asked):
    it = asked()
    await it.prove()
    assert TOKEN not in repr(it.proof)
    assert SECRET not in repr(it.proof)
    assert list(it.proof.inquiries._known) == [sha256(TOKEN.encode()).digest()]


# ── crowds and outages ───────────────────────────────────────────────────────────────────────────


async def test_of_a_crowd_with_the_same_token_one_asks(asked):
    it = asked()
    crowd = await asyncio.gather(*(it.prove() for _ in range(50)))
    assert len({id(one) for one in crowd}) == 1
    assert it.count == 1


async def test_whoever_leaves_does_not_take_the_question_with_them(asked):
    it = asked()
    first, second = (asyncio.ensure_future(it.prove()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).subject == "partner|ann"
    assert it.count == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        says(500, THEIRS),
        says(401, json.dumps({"error": "invalid_client", "error_description": THEIRS})),
        says(302, "", Location="https://evil.example"),
        says(200, THEIRS),
        says(200, "[]"),
        says(200, "{}"),
        says(200, '{"active": "true"}'),
        says(200, '{"active": 1}'),
        says(200, '{"active": true, "active": true}'),
        says(200, json.dumps({"active": True, "x": "x" * 40_000})),
        hangs_up,
    ],
)
async def test_an_issuer_that_does_not_answer_vouches_for_nobody(asked, issuer, behaviour):
    it = asked()
    it.issuer.always = behaviour
    with pytest.raises(TemporarilyUnavailable) as refused:
        await it.prove()
    assert refused.value.status == 503
    for text in (refused.value.description, refused.value.detail, str(refused.value)):
        assert THEIRS not in text
        assert TOKEN not in text
    it.answers()
    assert await it.prove()  # it is no reason to refuse the next time


async def test_an_issuer_that_keeps_failing_is_left_alone(asked):
    it = asked()
    it.issuer.always = says(404, "")
    for number in range(8):
        with pytest.raises(TemporarilyUnavailable) as refused:
            await it.prove(f"{TOKEN}{number}")
    assert it.count == 5
    assert "left alone" in refused.value.detail
    assert 1 <= refused.value.retry_after <= 5


@pytest.mark.parametrize("status", [400, 403, 406, 413, 422, 431])
async def test_a_token_that_is_refused_at_their_gate_is_nobody_elses_trouble(asked, status):
    """Anybody can show us what a firewall before the issuer does not let through."""
    it = asked()
    it.issuer.always = says(status, f"<html>{THEIRS}</html>")
    for number in range(8):
        with pytest.raises(TemporarilyUnavailable):
            await it.prove(f"ptn_../../etc/passwd{number}")
    it.answers()
    assert (await it.prove()).subject == "partner|ann"


async def test_that_they_do_not_know_us_is_everybodys_trouble(asked):
    it = asked()
    it.issuer.always = says(400, '{"error": "invalid_client"}', Content_Type="application/json")
    for number in range(8):
        with pytest.raises(TemporarilyUnavailable):
            await it.prove(f"{TOKEN}{number}")
    assert it.count == 5


async def test_a_no_is_no_failure(asked):
    it = asked()
    it.answers(active=False)
    for number in range(8):
        with pytest.raises(InvalidGrant):
            await it.prove(f"{TOKEN}{number}")
    assert it.count == 8
    assert it.proof.inquiries.breaker.state == "closed"


async def test_there_are_never_more_questions_than_may_be(asked, monkeypatch):
    monkeypatch.setattr(inquiries, "MOST_AT_ONCE", 1)
    it = asked()
    it.issuer.always = silent
    first = asyncio.ensure_future(it.prove())
    await asyncio.sleep(0)
    with pytest.raises(TemporarilyUnavailable, match="too many questions"):
        await it.prove(TOKEN + "2")
    await it.proof.close()
    with pytest.raises(TemporarilyUnavailable, match="given up"):
        await first


async def test_another_proof_may_know_what_an_issuer_that_is_down_does_not_say(asked):
    down, other = asked(introspection_endpoint="http://127.0.0.1:9/"), asked()
    with pytest.raises(TemporarilyUnavailable):
        await down.prove()
    assert (await Subjects((down.proof, other.proof)).prove(TOKEN)).name == "partner"
    other.answers(active=False)
    with pytest.raises(TemporarilyUnavailable):  # who was not heard might have said yes
        await Subjects((down.proof, other.proof)).prove(TOKEN + "2")


# ── in a whole server ────────────────────────────────────────────────────────────────────────────

TABLES = """
[callers.partner]
proof        = "introspection"
issuer       = "https://idp.example.com"
introspection_endpoint = "{upstream}"
client_id    = "us"
client_secret = "${{UPSTREAM_SECRET}}"
audience     = "https://tokens.example.com"
token_prefix = "ptn_"
[[allow]]
name   = "partners who may read"
caller = "partner"
claims = {{ scope = "read" }}
token  = "reports"
scope  = "reports:read"
"""


def good(world, **said):
    exp = int(world.clock()) + 60
    members = {"active": True, "sub": "bob", "aud": "https://tokens.example.com", "exp": exp}
    return says(200, json.dumps(members | {"scope": "read write"} | said))


@pytest.fixture
async def world(worlds):
    async with worlds(file=FILE + TABLES) as world:
        yield world


ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


async def test_an_opaque_token_is_exchanged_and_ends_no_later(world):
    world.upstream.always = good(world)
    for answer in (
        await world.exchange(TOKEN, subject_token_type=ACCESS_TOKEN, audience="reports"),
        await world.get_token(TOKEN, audience="reports"),
    ):
        assert answer.status_code == 200
    answer = await world.exchange(TOKEN, subject_token_type=ACCESS_TOKEN, audience="reports")
    assert answer.json()["expires_in"] == 60
    assert len(world.upstream.questions) == 1


@pytest.mark.parametrize(
    ("said", "token", "status"),
    [
        ({"active": False}, TOKEN, 401),
        ({"aud": "x"}, TOKEN, 401),
        ({"scope": "write"}, TOKEN, 403),
        ({}, "opaque", 401),
    ],
)
async def test_without_a_yes_there_is_no_token(world, said, token, status):
    world.upstream.always = good(world, **said)
    assert (await world.get_token(token, audience="reports")).status_code == status


async def test_an_assertion_is_a_jwt_and_nothing_else(world):
    world.upstream.always = good(world)
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": TOKEN}
    answer = await world.token(auth=None, audience="reports", **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert world.upstream.questions == []


async def test_while_the_issuer_is_down_callers_hear_503(world, caplog):
    world.upstream.always = says(404, THEIRS)
    answer = await world.get_token(TOKEN, audience="reports")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert THEIRS not in answer.text
    assert not [it for it in caplog.records if it.levelno >= logging.ERROR]
