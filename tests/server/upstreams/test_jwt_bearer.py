"""A signed statement for a token: what it says, to whom, and who signed it."""

import json
import re

import pytest

from tests.server.upstreams.granting import BROKEN, NOW, granted
from tests.upstream import THEIRS, Upstream, says
from tests.world import claims_of, header_of
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.jose.registered import registered_key
from tokenward.oauth.errors import TargetNotAllowed, TemporarilyUnavailable
from tokenward.oauth.messages import JWT_BEARER
from tokenward.remote.fetch import arun, open_async_client
from tokenward.server.broker import Broker
from tokenward.server.model import Shown
from tokenward.server.upstreams.jwt_bearer import JwtBearer
from tokenward.verifier.verifier import Verifier

ENDPOINT = "https://login.example.com/token"
ANN = Shown("token-of-ann")


@pytest.fixture(scope="module")
def pem():
    key = SigningKey.generate("ES256")
    return key.private.private_bytes(*pem_format()).decode()


def pem_format():
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()


async def asked(upstream, authorization):
    async with open_async_client() as http:
        return await arun(upstream.flow(authorization, now=NOW), http)


async def test_a_statement_says_who_we_are_to_whom_and_for_a_minute(pem):
    with Upstream() as theirs:
        upstream = JwtBearer(
            token_endpoint=theirs.token_endpoint,
            private_key=pem,
            kid="k1",
            iss="us@example.com",
            sub="admin@example.com",
            scope_in="claim",
        )
        got = await asked(upstream, granted("read write"))
        again = await asked(upstream, granted("read write"))
        form, other = (question.form for question in theirs.questions)
    assert (got.value, again.value, str(got.scope)) == ("theirs-1", "theirs-2", "read write")
    assert set(form) == {"grant_type", "assertion"}
    assert form["grant_type"] == JWT_BEARER
    said = claims_of(form["assertion"])
    assert said["jti"] != claims_of(other["assertion"])["jti"]
    assert {name: said[name] for name in said if name != "jti"} == {
        "iss": "us@example.com",
        "sub": "admin@example.com",
        "aud": theirs.token_endpoint,
        "iat": NOW,
        "exp": NOW + 60,
        "scope": "read write",
    }
    assert header_of(form["assertion"]) == {"alg": "ES256", "typ": "JWT", "kid": "k1"}
    public = registered_key(pem, kid="k1").verifying_key()
    verifier = Verifier(
        "us@example.com",
        theirs.token_endpoint,
        keys=KeySet((public,)),
        clock=lambda: NOW,
        typ={"jwt"},
    )
    assert verifier.verify(form["assertion"])["sub"] == "admin@example.com"


async def test_without_a_subject_there_is_none_and_the_scope_is_in_the_form(pem):
    with Upstream() as theirs:
        upstream = JwtBearer(token_endpoint=theirs.token_endpoint, private_key=pem, iss="us")
        await asked(upstream, granted("read"))
        form = theirs.questions[0].form
    assert form["scope"] == "read"
    assert {"sub", "scope"}.isdisjoint(claims_of(form["assertion"]))
    assert "client_id" not in form


async def test_a_client_may_show_who_it_is_besides(pem):
    with Upstream() as theirs:
        upstream = JwtBearer(
            token_endpoint=theirs.token_endpoint,
            private_key=pem,
            client_id="us",
            client_secret="s3cret-of-ours",
            auth="client_secret_post",
        )
        await asked(upstream, granted())
        form = theirs.questions[0].form
    assert (form["client_id"], form["client_secret"]) == ("us", "s3cret-of-ours")
    assert claims_of(form["assertion"])["iss"] == "us"


async def test_on_behalf_of_shows_the_callers_token_and_says_what_for():
    with Upstream() as theirs:
        upstream = JwtBearer(
            token_endpoint=theirs.token_endpoint,
            subject="shown",
            client_id="us",
            client_secret="s3cret-of-ours",
            parameters={"requested_token_use": "on_behalf_of"},
        )
        await asked(upstream, granted("user.read", ANN))
        assert theirs.questions[0].form == {
            "grant_type": JWT_BEARER,
            "assertion": "token-of-ann",
            "scope": "user.read",
            "requested_token_use": "on_behalf_of",
        }
    assert "token-of" not in repr(upstream.shared_by(granted("user.read", ANN)))
    with pytest.raises(TargetNotAllowed):
        upstream.shared_by(granted("user.read"))


def test_what_we_sign_is_shared_by_scope(pem):
    upstream = JwtBearer(token_endpoint=ENDPOINT, private_key=pem, iss="us")
    assert not upstream.forwards
    assert upstream.shared_by(granted("a b", ANN)) == upstream.shared_by(granted("b a"))


@pytest.mark.parametrize("broken", BROKEN)
async def test_no_token_comes_of_a_broken_answer_and_no_word_of_theirs(pem, broken):
    with Upstream() as theirs:
        theirs.always = BROKEN[broken]
        upstream = JwtBearer(token_endpoint=theirs.token_endpoint, private_key=pem, iss="us")
        async with open_async_client() as http:
            broker = Broker(upstream=upstream, http=http, deadline=0.3)
            with pytest.raises(TemporarilyUnavailable) as caught:
                await broker.issue(granted("read"))
    assert THEIRS not in f"{caught.value.description} {caught.value.detail}"


async def test_an_assertion_repeated_in_an_error_is_not_repeated_by_us(pem):
    with Upstream() as theirs:

        def last(upstream):
            return upstream.questions[-1].form["assertion"]

        def repeats(handler):
            said = {"error": "invalid_grant", "error_description": last(theirs)}
            says(400, json.dumps(said))(handler)

        theirs.always = repeats

        upstream = JwtBearer(token_endpoint=theirs.token_endpoint, private_key=pem, iss="us")
        with pytest.raises(Exception, match="400") as caught:
            await asked(upstream, granted())
        assert last(theirs) not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "private_key: is missing: it signs what we send"),
        ({"private_key": "nonsense"}, "private_key: not a private key in PEM"),
        ({"kid": "k"}, "private_key: is missing"),
        ({"subject": "shown", "kid": "k"}, "kid: is for a private_key"),
        ({"subject": "shown", "scope_in": "claim"}, "scope_in: only what we sign"),
        ({"private_key": "x", "assertion_issuer": "main"}, "assertion_issuer: is for"),
        ({"subject": "shown", "assertion_issuer": "main"}, "assertion_issuer: is for assertion"),
        ({"subject": "shown", "parameters": {"assertion": "x"}}, "parameters: assertion is no"),
        ({"subject": "shown", "parameters": {"scope": "x"}}, "parameters: scope is no"),
        ({"subject": "shown", "parameters": {"a": "x\n"}}, "parameters: contain a control"),
        ({"subject": "shown", "sub": "a\nb"}, "sub contains a line break"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_reason(settings, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        JwtBearer(token_endpoint=ENDPOINT, **settings)


def test_the_key_is_in_no_repr_and_in_no_error(pem):
    upstream = JwtBearer(token_endpoint=ENDPOINT, private_key=pem, iss="us")
    body = pem.splitlines()[1]
    assert body not in repr(upstream)
    with pytest.raises(ValueError, match=r"^private_key: the key is not for this algorithm$"):
        JwtBearer(token_endpoint=ENDPOINT, private_key=pem, algorithm="RS256")
