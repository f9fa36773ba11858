"""An upstream or an issuer that does not answer keeps nobody from the others."""

import asyncio
import json

import pytest

from tests.server.upstreams.test_token_exchange import MORE
from tests.upstream import Upstream, says, silent
from tests.world import FILE

CROWD = 80
"""More than there are connections to one of them."""

ISSUER = """
[callers.NAME]
proof         = "introspection"
issuer        = "https://NAME.example.com"
introspection_endpoint = "URL"
client_id     = "us"
client_secret = "${{UPSTREAM_SECRET}}"
audience      = "us"
token_prefix  = "NAME_"
default       = "reports"
[[allow]]
name   = "NAME may read"
caller = "NAME"
token  = "reports"
scope  = "reports:read"
"""


@pytest.fixture
def slow():
    with Upstream() as slow:
        slow.always = silent
        yield slow


async def crowded(slow, asking):
    """So many ask that no connection is left; what they ask is still under way."""
    waiting = [asyncio.ensure_future(one) for one in asking]
    for _ in range(1_000):
        await asyncio.sleep(0.01)
        if len(slow.questions) >= 32:
            break
    await asyncio.sleep(0.2)
    assert len(slow.questions) >= 32
    return waiting


async def test_whoever_waits_for_one_upstream_does_not_wait_for_another(worlds, slow):
    async with worlds(file=FILE + MORE.replace("{upstream}", slow.token_endpoint)) as world:
        people = [world.user_token(sub=f"auth0|{number}") for number in range(CROWD)]
        waiting = await crowded(slow, [world.exchange(one, audience="onward") for one in people])
        async with asyncio.timeout(4):
            answer = await world.get_token(world.user_token(), audience="itwin")
        assert answer.text == "Bearer theirs-1"
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()


def issuer(name, server):
    return ISSUER.replace("NAME", name).replace("URL", server.token_endpoint)


async def test_strangers_who_ask_a_slow_issuer_keep_nobody_from_the_others(worlds, slow):
    with Upstream() as quick:
        async with worlds(file=FILE + issuer("slow", slow) + issuer("quick", quick)) as world:
            exp = int(world.clock()) + 60
            said = {"active": True, "sub": "bob", "aud": "us", "exp": exp}
            quick.always = says(200, json.dumps(said))
            junk = [world.get_token(f"slow_{number}") for number in range(CROWD)]
            waiting = await crowded(slow, junk)
            async with asyncio.timeout(4):
                upstream = await world.get_token(world.user_token(), audience="itwin")
                issuer_of_bob = await world.get_token("quick_bob")
            assert (upstream.status_code, issuer_of_bob.status_code) == (200, 200)
            for one in waiting:
                one.cancel()
