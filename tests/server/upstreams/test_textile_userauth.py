"""What an application's server signs for Textile's clients: as they compute it, and no longer."""

import json

import pytest

from tests.hub import KEY, SAMPLE_SECRET, SECRET, signature
from tests.server.upstreams.granting import NOW, granted
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import arun, open_async_client
from tokenward.server.broker import Broker
from tokenward.server.proofs.hub_key import moment
from tokenward.server.upstreams.textile_userauth import TextileUserauth

# @textile/hub made this of the same secret and date.
VECTOR = ("2030-01-02T03:04:05.678Z", "bm2y3metd5dqogz7sa662sugyb2vbv3nuvfs4ly2apzbfucim6c3a")


async def asked(now=NOW, **how):
    async with open_async_client() as http:
        return await arun(
            TextileUserauth(key=KEY, secret=SECRET, **how).flow(granted(), now=now), http
        )


async def test_it_is_what_the_clients_themselves_would_sign():
    token = await asked(now=moment(VECTOR[0]) - 60, lifetime=60.0)
    assert json.loads(token.value) == {"key": KEY, "msg": VECTOR[0], "sig": VECTOR[1]}


async def test_it_ends_when_it_says():
    token = await asked(lifetime=120.0)
    said = json.loads(token.value)
    assert moment(said["msg"]) == pytest.approx(NOW + 120, abs=0.001)
    assert token.expires_at == NOW + 120
    assert said["sig"] == signature(said["msg"])


async def test_it_can_be_the_answer_of_a_token_endpoint():
    token = await asked()
    again = AccessToken.parse({"access_token": token.value, "expires_in": 300}, now=NOW)
    assert again.value == token.value


async def test_a_broker_hands_out_none_that_is_about_to_end():
    now = [NOW]
    async with open_async_client() as http:
        broker = Broker(
            upstream=TextileUserauth(key=KEY, secret=SECRET, lifetime=300.0),
            http=http,
            clock=lambda: now[0],
            ticks=lambda: now[0],
        )
        first = await broker.issue(granted())
        assert await broker.issue(granted("another")) == first
        now[0] += 200
        second = await broker.issue(granted())
    assert second.expires_at == now[0] + 300


def test_the_secret_is_in_no_repr():
    assert SECRET not in repr(TextileUserauth(key=KEY, secret=SECRET))


@pytest.mark.parametrize("name", ["key", "secret"])
@pytest.mark.parametrize("text", ["", "b", "x", SECRET[:-1] + "1", SECRET.upper(), SAMPLE_SECRET])
def test_what_is_not_base32_is_refused_without_being_repeated(name, text):
    with pytest.raises(ValueError, match=f"^{name}: must be base32") as caught:
        TextileUserauth(**{"key": KEY, "secret": SECRET, name: text})
    assert len(text) < 2 or text not in str(caught.value)


def test_it_has_no_scopes():
    one = TextileUserauth(key=KEY, secret=SECRET)
    one.check_scopes(Scope())
    with pytest.raises(ValueError, match="not for a signature"):
        one.check_scopes(Scope.parse("read"))
