"""The caller's own token goes on, to one server, and nobody else gets what comes of it."""

import re

import pytest

from tests.server.upstreams.granting import BROKEN, NOW, granted
from tests.upstream import THEIRS, Upstream, token
from tests.world import UPSTREAM_SECRET
from tokenward.oauth.errors import TargetNotAllowed, TemporarilyUnavailable
from tokenward.oauth.messages import ACCESS_TOKEN, ID_TOKEN, JWT, TOKEN_EXCHANGE
from tokenward.remote.fetch import arun, open_async_client
from tokenward.server.broker import Broker
from tokenward.server.model import Shown
from tokenward.server.upstreams.token_exchange import TokenExchange

US = {"client_id": "us", "client_secret": "s3cret-of-ours"}
ANN, BOB = Shown("token-of-ann"), Shown("token-of-bob")
AGENT = Shown("token-of-ann", "token-of-agent")
ISSUED = {"issued_token_type": ACCESS_TOKEN}


async def asked(upstream, authorization):
    async with open_async_client() as http:
        return await arun(upstream.flow(authorization, now=NOW), http)


async def test_the_subject_token_goes_on():
    with Upstream() as theirs:
        theirs.always = token(scope="read", **ISSUED)
        upstream = TokenExchange(token_endpoint=theirs.token_endpoint, audience="api", **US)
        got = await asked(upstream, granted("read", ANN))
        assert (got.value, got.expires_at) == ("theirs-1", NOW + 3600)
        assert theirs.questions[0].form == {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": "token-of-ann",
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
            "audience": "api",
            "scope": "read",
        }
        assert theirs.questions[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, "token-of-agent"),
        ({"actor_token": "shown"}, "token-of-agent"),
        ({"actor_token": "none"}, None),
    ],
)
async def test_whoever_acts_for_them_goes_along_unless_that_is_not_wanted(settings, sent):
    with Upstream() as theirs:
        upstream = TokenExchange(token_endpoint=theirs.token_endpoint, **US, **settings)
        await asked(upstream, granted("", AGENT))
        form = theirs.questions[0].form
    assert (form.get("actor_token"), form.get("actor_token_type")) == (
        sent,
        sent and ACCESS_TOKEN,
    )


async def test_what_tokens_are_called_can_be_said():
    with Upstream() as theirs:
        upstream = TokenExchange(
            token_endpoint=theirs.token_endpoint,
            subject_token_type="jwt",
            actor_token_type="id_token",
            **US,
        )
        await asked(upstream, granted("", AGENT))
        form = theirs.questions[0].form
    assert (form["subject_token_type"], form["actor_token_type"]) == (JWT, ID_TOKEN)


def test_a_token_is_shared_by_those_who_showed_the_same_ones_and_its_name_is_no_token():
    upstream = TokenExchange(token_endpoint="https://x.example.com/token", **US)

    def key(shown, scope="read"):
        return upstream.shared_by(granted(scope, shown))

    assert key(ANN) == key(Shown("token-of-ann"))
    keys = {key(ANN), key(BOB), key(AGENT), key(ANN, "write")}
    assert len(keys) == 4
    assert not re.search("token-of", repr(keys))
    alone = TokenExchange(token_endpoint="https://x.example.com/token", actor_token="none", **US)
    assert alone.shared_by(granted("", ANN)) == alone.shared_by(granted("", AGENT))


def test_who_shows_no_token_can_have_none():
    upstream = TokenExchange(token_endpoint="https://x.example.com/token", **US)
    with pytest.raises(TargetNotAllowed):
        upstream.shared_by(granted("read"))


async def test_a_broker_asks_once_for_each_person_and_never_gives_one_the_others():
    with Upstream() as theirs:
        upstream = TokenExchange(token_endpoint=theirs.token_endpoint, **US)
        async with open_async_client() as http:
            broker = Broker(upstream=upstream, http=http, clock=lambda: NOW, ticks=lambda: NOW)
            got = [await broker.issue(granted("", one)) for one in (ANN, BOB, ANN, BOB, AGENT)]
        assert [it.value for it in got] == [
            "theirs-1",
            "theirs-2",
            "theirs-1",
            "theirs-2",
            "theirs-3",
        ]
        assert "token-of" not in repr(broker._held)


@pytest.mark.parametrize("broken", BROKEN)
async def test_no_token_comes_of_a_broken_answer_and_no_word_of_theirs(broken):
    with Upstream() as theirs:
        theirs.always = BROKEN[broken]
        upstream = TokenExchange(token_endpoint=theirs.token_endpoint, **US)
        async with open_async_client() as http:
            broker = Broker(upstream=upstream, http=http, deadline=0.3)
            with pytest.raises(TemporarilyUnavailable) as caught:
                await broker.issue(granted("read", ANN))
    said = f"{caught.value.description} {caught.value.detail}"
    assert THEIRS not in said
    assert "token-of" not in said


@pytest.mark.parametrize("type", ["urn:ietf:params:oauth:token-type:refresh_token", "mac", 7])
async def test_another_type_than_was_asked_for_is_no_token(type):
    with Upstream() as theirs:
        theirs.always = token(issued_token_type=type)
        upstream = TokenExchange(token_endpoint=theirs.token_endpoint, **US)
        with pytest.raises(Exception, match="issued_token_type"):
            await asked(upstream, granted("", ANN))


# ── through the whole server ─────────────────────────────────────────────────────────────────────

MORE = """
[tokens.onward]
upstream       = "token_exchange"
token_endpoint = "{upstream}"
client_id      = "service-abc"
client_secret  = "${{UPSTREAM_SECRET}}"
scopes         = ["read"]

[[allow]]
name   = "people go on"
caller = "mobile"
token  = "onward"
scope  = "read"
[[allow]]
name   = "a client has nobody's token"
caller = "nightly"
token  = "onward"
scope  = "read"
"""


async def test_the_callers_token_goes_on_and_is_written_nowhere(worlds, tmp_path):
    from tests.world import FILE  # noqa: PLC0415 - so that the names above stay few

    async with worlds(file=FILE + MORE, store=f"sqlite:{tmp_path / 'store.db'}") as world:
        ann = world.user_token(sub="auth0|ann")
        bob = world.user_token(sub="auth0|bob")
        answers = [await world.exchange(one, audience="onward") for one in (ann, bob, ann)]
        assert [it.status_code for it in answers] == [200, 200, 200]
        tokens = [it.json()["access_token"] for it in answers]
        assert tokens[0] == tokens[2] != tokens[1]
        sent = [question.form["subject_token"] for question in world.upstream.questions]
        assert sent == [ann, bob]
        text = await world.get_token(ann, audience="onward")
        assert text.text == f"Bearer {tokens[0]}"
        assertion = await world.token(
            auth=None,
            grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
            assertion=ann,
            audience="onward",
        )
        assert assertion.json()["access_token"] == tokens[0]
        refused = await world.token(audience="onward")
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
        assert len(world.upstream.questions) == 2
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (ann, bob, *tokens, UPSTREAM_SECRET):
        assert secret.encode() not in written
    assert [event["outcome"] for event in world.events()] == ["ok"] * 5 + ["refused"]


async def test_where_no_upstream_wants_to_see_tokens_no_grant_has_any(world):
    from tokenward.server.grants import _remembered  # noqa: PLC0415

    _remembered.clear()
    assert (await world.exchange(world.user_token(), audience="itwin")).status_code == 200
    assert [bool(grant.shown) for grant in _remembered.values()] == [False]
