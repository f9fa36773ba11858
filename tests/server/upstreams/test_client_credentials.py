"""Our own id and secret at somebody else's token endpoint: two sends and no mock, then for real."""

import base64
import json
import math
import re

import httpx2
import pytest

from tests.upstream import Upstream, says, token
from tokenward.oauth.messages import CLIENT_CREDENTIALS
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError, arun, open_async_client
from tokenward.server.model import Authorization, Client, Grant
from tokenward.server.registration import REMEMBERED
from tokenward.server.upstreams.client_credentials import ClientCredentials

NOW = 1_800_000_000.0
ENDPOINT = "https://ims.example.com/connect/token"
ISSUER = "https://ims.example.com"
SECRET = "s e/c+r=et%1"
US = {"client_id": "us & co", "client_secret": SECRET}


def authorized(scope="itwin-platform"):
    client = Client(id="nightly", grant_types=frozenset({CLIENT_CREDENTIALS}))
    grant = Grant(caller=client.as_caller(), client=client, grant_type=CLIENT_CREDENTIALS)
    return Authorization(
        grant=grant, token="itwin", scope=Scope.parse(scope), lifetime=math.inf, rule="r"
    )


def answer(body, status=200):
    return httpx2.Response(status, json=body, request=httpx2.Request("POST", ENDPOINT))


GOOD = {"access_token": "theirs", "token_type": "Bearer", "expires_in": 3600}
METADATA = {"issuer": ISSUER, "token_endpoint": ENDPOINT}


def form(request):
    pairs = [pair.split("=") for pair in request.content.decode().split("&")]
    return {name: httpx2.QueryParams(f"v={value}")["v"] for name, value in pairs}


def test_it_asks_once_and_reads_the_answer():
    upstream = ClientCredentials(token_endpoint=ENDPOINT, **US)
    flow = upstream.flow(authorized("b a"), now=NOW)
    request = next(flow)
    assert (request.method, str(request.url)) == ("POST", ENDPOINT)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form(request) == {"grant_type": "client_credentials", "scope": "a b"}
    with pytest.raises(StopIteration) as end:
        flow.send(answer(GOOD))
    got = end.value.value
    assert (got.value, got.expires_at, str(got.scope)) == ("theirs", NOW + 3600, "a b")


def test_basic_form_encodes_both_halves():
    request = next(ClientCredentials(token_endpoint=ENDPOINT, **US).flow(authorized(), now=NOW))
    scheme, _, encoded = request.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded) == b"us+%26+co:s+e%2Fc%2Br%3Det%251"  # RFC 6749 §2.3.1
    assert b"secret" not in request.content


def test_post_puts_both_into_the_form_and_nothing_into_the_header():
    upstream = ClientCredentials(token_endpoint=ENDPOINT, auth="client_secret_post", **US)
    request = next(upstream.flow(authorized(), now=NOW))
    assert "authorization" not in request.headers
    assert form(request) == {
        "grant_type": "client_credentials",
        "scope": "itwin-platform",
        "client_id": "us & co",
        "client_secret": SECRET,
    }


def test_audience_and_resource_are_sent_where_they_are_set():
    upstream = ClientCredentials(
        token_endpoint=ENDPOINT, audience="api one", resource="https://api.example.com/x?y", **US
    )
    sent = form(next(upstream.flow(authorized(""), now=NOW)))
    assert sent == {
        "grant_type": "client_credentials",
        "audience": "api one",
        "resource": "https://api.example.com/x?y",
    }


def test_an_issuer_is_asked_where_its_token_endpoint_is_and_that_is_remembered_for_an_hour():
    upstream = ClientCredentials(issuer=ISSUER, **US)

    def first_question(now):
        return next(upstream.flow(authorized(), now=now))

    flow = upstream.flow(authorized(), now=NOW)
    request = next(flow)
    assert request.method == "GET"
    assert "authorization" not in request.headers
    assert str(request.url) == f"{ISSUER}/.well-known/openid-configuration"
    assert str(flow.send(answer(METADATA)).url) == ENDPOINT
    with pytest.raises(StopIteration):
        flow.send(answer(GOOD))
    for later in (0, 1, REMEMBERED - 1):
        assert first_question(NOW + later).method == "POST"
    for later in (REMEMBERED, -1, -1e9, 1e9):
        assert first_question(NOW + later).method == "GET"


@pytest.mark.parametrize(
    ("status", "body", "then"),
    [
        (404, {}, "GET"),
        (405, {}, "GET"),
        (200, {"page": "not found"}, "GET"),
        (401, {"error": "invalid_client"}, "POST"),
        (400, {"error": "invalid_scope"}, "POST"),
        (500, {}, "POST"),
        (429, {}, "POST"),
    ],
)
def test_where_no_token_endpoint_answers_it_is_looked_up_again(status, body, then):
    upstream = ClientCredentials(issuer=ISSUER, **US)
    flow = upstream.flow(authorized(), now=NOW)
    next(flow)
    flow.send(answer(METADATA))
    with pytest.raises(RemoteError):
        flow.send(answer(body, status))
    assert next(upstream.flow(authorized(), now=NOW)).method == then


@pytest.mark.parametrize(
    "found",
    [
        {"issuer": "https://other.example.com"},
        {"issuer": f"{ISSUER}/"},
        {"token_endpoint": "https://evil.example.com/token"},
        {"token_endpoint": "http://ims.example.com/connect/token"},
        {"token_endpoint": 7},
        {"token_endpoint": None},
    ],
)
def test_metadata_cannot_send_the_secret_elsewhere(found):
    upstream = ClientCredentials(issuer=ISSUER, **US)
    flow = upstream.flow(authorized(), now=NOW)
    next(flow)
    with pytest.raises(RemoteError):
        flow.send(answer({**METADATA, **found}))
    assert next(upstream.flow(authorized(), now=NOW)).method == "GET", "nothing is remembered"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "exactly one of issuer and token_endpoint is needed"),
        (
            {"issuer": ISSUER, "token_endpoint": ENDPOINT},
            "exactly one of issuer and token_endpoint",
        ),
        ({"issuer": "ims.example.com"}, "issuer must start with https://"),
        ({"issuer": "http://ims.example.com"}, "issuer must be https"),
        ({"issuer": f"{ISSUER}?x"}, "issuer must have no query"),
        ({"issuer": f"{ISSUER}#x"}, "issuer must have neither user, fragment"),
        ({"issuer": "https://us:pw@ims.example.com"}, "issuer must have neither user, fragment"),
        ({"token_endpoint": "http://10.0.0.1/token"}, "token_endpoint must be https"),
        ({"token_endpoint": "http://127.0.0.1.evil.com/t"}, "token_endpoint must be https"),
        ({"token_endpoint": "ftp://x/token"}, "token_endpoint must start with https://"),
        ({"token_endpoint": "https://x/to ken"}, "token_endpoint is empty, too long, or has char"),
        ({"token_endpoint": "https://"}, "token_endpoint must start with https:// and a host"),
        ({"token_endpoint": ENDPOINT, "client_id": ""}, "client_id is missing"),
        ({"token_endpoint": ENDPOINT, "client_id": "a\nb"}, "client_id contains"),
        ({"token_endpoint": ENDPOINT, "client_secret": ""}, "client_secret is missing"),
        ({"token_endpoint": ENDPOINT, "client_secret": f"{SECRET}\n"}, "client_secret contains"),
        ({"token_endpoint": ENDPOINT, "auth": "none"}, "client_secret: is given, but none has"),
        ({"token_endpoint": ENDPOINT, "auth": "private_key_jwt"}, "client_secret: is given, but"),
        ({"token_endpoint": ENDPOINT, "auth": ""}, "auth must be client_secret_"),
        ({"token_endpoint": ENDPOINT, "audience": "a\r\nb"}, "audience contains"),
        ({"token_endpoint": ENDPOINT, "resource": "api"}, "resource must be an absolute URI"),
        ({"token_endpoint": ENDPOINT, "resource": "https://a#b"}, "resource must be an absolute"),
        ({"token_endpoint": ENDPOINT, "resource": "https://a b"}, "resource must be an absolute"),
        ({"token_endpoint": ENDPOINT, "resource": "/a"}, "resource must be an absolute"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_reason(settings, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}") as caught:
        ClientCredentials(**{**US, **settings})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:1", "127.9.9.9"])
def test_plain_http_is_for_this_machine_alone(host):
    upstream = ClientCredentials(token_endpoint=f"http://{host}/token", **US)
    assert next(upstream.flow(authorized(), now=NOW)).url.scheme == "http"


def test_the_scope_decides_who_shares_to_the_letter():
    upstream = ClientCredentials(token_endpoint=ENDPOINT, **US)

    def key(scope):
        return upstream.shared_by(authorized(scope))

    assert key("a b") == key("b a")
    assert hash(key("a b")) == hash(key("b a"))
    assert len({key(scope) for scope in ("", "a", "A", "b", "a b", "ab", "a:b", "a,b")}) == 8


def test_the_secret_is_in_no_repr():
    upstream = ClientCredentials(issuer=ISSUER, **US)
    flow = upstream.flow(authorized(), now=NOW)
    next(flow)
    flow.send(answer(METADATA))
    assert SECRET not in repr(upstream) + repr(upstream._found)


async def test_with_a_real_server_discovery_and_all():
    with Upstream() as theirs:
        upstream = ClientCredentials(issuer=theirs.url, auth="client_secret_post", **US)
        theirs.always = token(scope="itwin-platform")
        async with open_async_client() as http:
            first = await arun(upstream.flow(authorized(), now=NOW), http)
            second = await arun(upstream.flow(authorized(), now=NOW), http)
        assert (first.value, second.value) == ("theirs-1", "theirs-2")
        assert len(theirs.lookups) == 1
        assert [question.form["client_secret"] for question in theirs.questions] == [SECRET] * 2


async def test_what_a_real_server_says_against_us_stays_there():
    with Upstream() as theirs:
        refusal = {"error": "invalid_client", "error_description": f"no such {SECRET}"}
        theirs.always = says(401, json.dumps(refusal))
        upstream = ClientCredentials(token_endpoint=theirs.token_endpoint, **US)
        async with open_async_client() as http:
            with pytest.raises(RemoteError) as caught:
                await arun(upstream.flow(authorized(), now=NOW), http)
    assert (caught.value.reason, caught.value.code) == ("127.0.0.1 answered 401", "invalid_client")
    assert not caught.value.transient
