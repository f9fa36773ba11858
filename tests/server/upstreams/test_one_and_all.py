"""One person whom an upstream does not like is nobody else's trouble, whoever they are.

Where callers' own tokens go on, or accounts of theirs, anybody who may ask can have it refuse.
"""

import pytest

from tests.server.upstreams.granting import NOW, granted
from tests.upstream import Upstream, says, token
from tokenward.oauth.errors import OAuthError
from tokenward.remote.fetch import open_async_client
from tokenward.server import breaker
from tokenward.server.broker import Broker
from tokenward.server.model import Shown
from tokenward.server.upstreams.client_credentials import ClientCredentials
from tokenward.server.upstreams.jwt_bearer import JwtBearer
from tokenward.server.upstreams.token_exchange import TokenExchange

US = {"client_id": "us", "client_secret": "s3cret-of-ours"}
EVE, BOB = (Shown(f"token-of-{name}") for name in ("eve", "bob"))


def answers(status, error):
    return says(status, f'{{"error": "{error}"}}', Content_Type="application/json")


REFUSALS = {
    "has to sign in again": answers(400, "interaction_required"),
    "has to agree": answers(400, "consent_required"),
    "a bad token": answers(401, "invalid_token"),
    "a bad token, without a word": says(401),
    "not here": says(403, "<html>firewall</html>"),
    "asks too often": says(429),
    "is to come back": says(429, Retry_After="300"),
}


def to_all_but_bob(behaviour):
    def behave(handler):
        bob = "token-of-bob" in handler.server.upstream.questions[-1].body
        (token() if bob else behaviour)(handler)

    return behave


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("kind", [TokenExchange, JwtBearer])
async def test_whom_the_upstream_refuses_shuts_nobody_out(kind, refusal):
    with Upstream() as theirs:
        theirs.always = to_all_but_bob(REFUSALS[refusal])
        upstream = kind(token_endpoint=theirs.token_endpoint, subject="shown", **US)
        async with open_async_client() as http:
            broker = Broker(upstream=upstream, http=http, clock=lambda: NOW, deadline=1.0)
            for number in range(2 * breaker.FAILURES):
                eve = Shown(f"{EVE.subject_token}-{number}")
                with pytest.raises(OAuthError):
                    await broker.issue(granted("", eve))
            assert broker.state == "closed"
            assert (await broker.issue(granted("", BOB))).value == "theirs-1"


async def test_she_herself_is_asked_for_less_and_less():
    with Upstream() as theirs:
        theirs.always = REFUSALS["has to sign in again"]
        upstream = TokenExchange(token_endpoint=theirs.token_endpoint, **US)
        async with open_async_client() as http:
            broker = Broker(upstream=upstream, http=http, clock=lambda: NOW)
            for _ in range(2 * breaker.FAILURES):
                with pytest.raises(OAuthError):
                    await broker.issue(granted("", EVE))
        assert len(theirs.questions) == breaker.FAILURES


@pytest.mark.parametrize(
    ("kind", "behaviour"),
    [
        (TokenExchange, answers(401, "invalid_client")),
        (TokenExchange, says(500)),
        (TokenExchange, says(404)),
        (ClientCredentials, says(403)),
        (ClientCredentials, answers(400, "interaction_required")),
    ],
)
async def test_what_is_about_us_is_everybodys_trouble(kind, behaviour):
    with Upstream() as theirs:
        theirs.always = behaviour
        upstream = kind(token_endpoint=theirs.token_endpoint, **US)
        async with open_async_client() as http:
            broker = Broker(upstream=upstream, http=http, clock=lambda: NOW, deadline=0.2)
            for number in range(breaker.FAILURES):
                with pytest.raises(OAuthError):
                    await broker.issue(granted(f"scope-{number}", Shown(f"token-{number}")))
            assert broker.state == "open"
