"""What callers show us goes on to an upstream if it is an issuer's token, and never if it is ours.

A key that we made is worth as much to an upstream as to its owner: it could come back with it.
"""

from contextlib import asynccontextmanager

import pytest

from tests.server.endpoints.test_challenge import ANN, answered
from tests.server.proofs.test_api_key import KEY, TABLES, Keys, entry
from tests.server.upstreams.test_token_exchange import MORE
from tests.world import FILE
from tokenward.server.settings import load

JWT_BEARER = """
[tokens.assertion]
upstream       = "jwt_bearer"
token_endpoint = "{upstream}"
subject        = "shown"
client_id      = "service-abc"
client_secret  = "${{UPSTREAM_SECRET}}"
scopes         = ["read"]
[tokens.alone]
upstream       = "token_exchange"
actor_token    = "none"
token_endpoint = "{upstream}"
client_id      = "service-abc"
client_secret  = "${{UPSTREAM_SECRET}}"
scopes         = ["read"]
"""
FRIENDS = f"""
[callers.friends]
proof = "key"
keys  = ["{ANN.public}"]
"""
RULES = "".join(
    f'[[allow]]\nname = "{caller}: {token}"\n'
    f'caller = "{caller}"\ntoken = "{token}"\nscope = "read"\n'
    for caller in ("scripts", "friends", "mobile")
    for token in ("onward", "assertion", "alone")
)
ALL = FILE + TABLES + FRIENDS + MORE + JWT_BEARER + RULES


@pytest.fixture
def keyed(worlds, tmp_path):
    @asynccontextmanager
    async def keyed():
        async with worlds(store=f"sqlite:{tmp_path}/kept.db", file=ALL) as world:
            await Keys(world)(entry())
            yield world

    return keyed


@pytest.mark.parametrize("token", ["onward", "assertion", "alone"])
async def test_a_key_that_we_made_goes_nowhere(keyed, token):
    async with keyed() as world:
        got = await world.exchange(KEY, audience=token, scope="read")
        assert (got.status_code, got.json()["error"]) == (400, "invalid_target")
        got = await world.get_token(KEY, audience=token, scope="read")
        assert got.status_code == 403
        assert world.upstream.questions == []


@pytest.mark.parametrize("token", ["onward", "assertion", "alone"])
async def test_an_answer_to_a_question_of_ours_goes_nowhere(keyed, token):
    async with keyed() as world:
        shown = await answered(world, ANN)
        got = await world.exchange(shown, audience=token, scope="read")
        assert (got.status_code, got.json()["error"]) == (400, "invalid_target")
        assert world.upstream.questions == []


async def test_nor_if_it_is_of_somebody_who_acts(keyed):
    """Nor is the actor left out: the upstream would take it for the person alone."""
    async with keyed() as world:
        acts = {"actor_token": KEY, "actor_token_type": "urn:ietf:params:oauth:token-type:jwt"}
        got = await world.exchange(world.user_token(), audience="onward", scope="read", **acts)
        assert (got.status_code, got.json()["error"]) == (400, "invalid_target")
        assert world.upstream.questions == []
        got = await world.exchange(world.user_token(), audience="alone", scope="read", **acts)
        assert got.status_code == 200  # an upstream that is told of nobody who acts
        assert KEY not in world.upstream.questions[0].body


async def test_an_issuers_token_goes_on_as_ever(keyed):
    async with keyed() as world:
        ann = world.user_token()
        for token in ("onward", "assertion", "alone"):
            got = await world.exchange(ann, audience=token, scope="read")
            assert got.status_code == 200
        assert [ann in question.body for question in world.upstream.questions] == [True] * 3


async def test_a_rule_that_gives_nothing_is_warned_of(keyed):
    async with keyed() as world:
        settings = load(world.config, {"UPSTREAM_SECRET": "s" * 40})
    told = [str(it) for it in settings.warnings if "could go on" in str(it)]
    # Six for keys of either kind, and the client's own rule.
    assert len(told) == 7
