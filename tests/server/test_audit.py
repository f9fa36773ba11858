"""One event for every request, whatever becomes of it, with all that is known and no secret."""

import asyncio
from contextlib import suppress
from hashlib import sha256

import pytest

from tokenward.oauth.errors import InvalidScope, InvalidTarget
from tokenward.oauth.messages import CLIENT_CREDENTIALS, AccessToken, TokenRequest
from tokenward.oauth.scope import Scope
from tokenward.server.audit import LONGEST_TEXT, Audit
from tokenward.server.http import Received
from tokenward.server.model import Caller, Client, Grant
from tokenward.server.policy import Policy, Rule, Target

NIGHTLY = Client(id="nightly", grant_types=frozenset({CLIENT_CREDENTIALS}))
WORKER = Caller(name="worker", subject="worker|1")
RECEIVED = Received(
    "POST", "/token", b"", [(b"authorization", b"hush")], b"hush", "192.0.2.1", "0123456789abcdef"
)
HUSH = {"client_secret": "hush", "scope": "b a"}
REQUEST = TokenRequest(CLIENT_CREDENTIALS, HUSH, ("reports",), issuer="main")
GRANT = Grant(
    caller=NIGHTLY.as_caller(),
    client=NIGHTLY,
    grant_type=CLIENT_CREDENTIALS,
    targets=("reports",),
    scope=Scope.parse("b a"),
    actor=WORKER,
    handle="hush",
)
POLICY = Policy(
    rules=(Rule(name="a rule", caller="nightly", token="reports", scope=Scope.parse("a b c")),),
    targets={"reports": Target(name="reports", scopes=Scope.parse("a b c"))},
)
TOKEN = AccessToken(value="hush-hush", expires_at=1_790_000_300.7)


class Kept(list):
    async def record(self, event):
        self.append(event)


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def audit(kept):
    return Audit(kept, clock=lambda: 1_790_000_000.12345)


async def test_an_event_says_who_got_what_by_which_rule(audit, kept):
    async with audit.event("token", RECEIVED) as event:
        event.request, event.client, event.grant = REQUEST, NIGHTLY, GRANT
        event.authorization = POLICY.decide(GRANT)
        event.issued(TOKEN)

    [said] = kept
    assert said.pop("ms") >= 0
    assert said == {
        "time": 1_790_000_000.123,
        "event": "token",
        "id": "0123456789abcdef",
        "outcome": "ok",
        "grant_type": CLIENT_CREDENTIALS,
        "issuer": "main",
        "targets": ["reports"],
        "client": "nightly",
        "caller": "nightly",
        "subject": "nightly",
        "scope_asked": "a b",
        "actor": "worker|1",
        "token": "reports",
        "rule": "a rule",
        "scope": "a b",
        "token_sha256": sha256(b"hush-hush").hexdigest(),
        "expires_at": 1_790_000_300,
        "address": "192.0.2.1",
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidTarget("no", detail="rule 7"), {"error": "invalid_target", "detail": "rule 7"}),
        (InvalidScope("too wide"), {"error": "invalid_scope", "detail": "too wide"}),
        (RuntimeError("hush"), {"error": "server_error", "detail": "RuntimeError"}),
        (asyncio.CancelledError(), {"error": "cancelled"}),
    ],
)
async def test_what_fails_is_recorded_and_goes_on_failing(audit, kept, error, said):
    with pytest.raises(type(error)):
        async with audit.event("getToken", RECEIVED):
            raise error

    [event] = kept
    assert event.pop("ms") >= 0
    assert event == {
        "time": 1_790_000_000.123,
        "event": "getToken",
        "id": "0123456789abcdef",
        "outcome": "refused",
        "address": "192.0.2.1",
        **said,
    }


async def test_what_was_asked_before_it_failed_is_in_the_event(audit, kept):
    with suppress(InvalidTarget):
        async with audit.event("token", RECEIVED) as event:
            event.request, event.client, event.grant = REQUEST, NIGHTLY, GRANT
            raise InvalidTarget
    [said] = kept
    assert (said["grant_type"], said["client"]) == (CLIENT_CREDENTIALS, "nightly")
    assert (said["subject"], said["scope_asked"]) == ("nightly", "a b")
    assert not {"token", "rule", "scope", "token_sha256", "expires_at"} & said.keys()


async def test_what_is_not_known_is_not_there(audit, kept):
    async with audit.event("token", Received("POST", "/token", id="1")) as event:
        event.request = TokenRequest("x", {})
        event.client = Client(id="", grant_types=frozenset())
    [said] = kept
    assert set(said) == {"time", "event", "id", "outcome", "grant_type", "ms"}


async def test_long_words_of_strangers_are_cut(audit, kept):
    long = "x" * 10_000
    with suppress(InvalidTarget):
        async with audit.event("token", RECEIVED) as event:
            event.request = TokenRequest(long, {}, (long, long))
            raise InvalidTarget(detail=long)
    [said] = kept
    assert len(said["grant_type"]) == len(said["detail"]) == LONGEST_TEXT
    assert [len(target) for target in said["targets"]] == [LONGEST_TEXT] * 2


async def test_no_secret_of_a_request_is_in_its_event_or_in_what_it_prints(audit, kept):
    async with audit.event("token", RECEIVED) as event:
        event.request, event.client, event.grant = REQUEST, NIGHTLY, GRANT
        event.shown("hush")
    assert kept[0]["token_sha256"] == sha256(b"hush").hexdigest()
    assert "hush" not in repr((kept, event, RECEIVED, REQUEST, GRANT, TOKEN))


@pytest.mark.parametrize("place", ["audience", "scope", "subject_token_type"])
async def test_a_token_put_where_none_belongs_is_not_kept(worlds, place):
    async with worlds() as world:
        stray = world.user_token()
        await world.exchange(world.user_token(), **{place: stray})
        await world.http.post("/token", data={"grant_type": stray, "audience": stray})
    written = world.trail.read_text()
    assert len(world.events()) == 2
    assert all(part not in written for part in stray.split(".")[1:])
    assert "(a token)" in written


@pytest.mark.parametrize(
    ("said", "kept_of_it"),
    [
        ("eyJh.eyJz.sig", "(a token)"),
        ("Bearer eyJh.b, and eyJ.c", "Bearer (a token), and (a token)"),
        ("a.eyJh.b", "a.(a token)"),
        ("xeyJh.b", "x(a token)"),
        ("eyJeyJ.b", "(a token)"),
        ("eyJh. b", "(a token) b"),
        ("eyJh", "eyJh"),
        ("a.eyJh", "a.eyJh"),
        ("eyJh b.c", "eyJh b.c"),
    ],
)
async def test_what_reads_like_a_token_is_not_kept_and_the_rest_is(audit, kept, said, kept_of_it):
    with suppress(InvalidTarget):
        async with audit.event("token", RECEIVED):
            raise InvalidTarget(detail=said)
    assert kept[0]["detail"] == kept_of_it
