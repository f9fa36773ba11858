"""Codes that a browser brought back, with the test playing the other side."""

import json

import httpx2
import pytest

from tokenward.client import Credentials, TokenEndpoint, TokenError
from tokenward.client.codes import challenge, endless, is_endless, redeem, what_is_over
from tokenward.oauth.scope import Scope

NOW = 1_800_000_000.0
US = Credentials(client_id="us", client_secret="hush-hush")
HERE = TokenEndpoint(url="https://tokens.example/token", credentials=US)


def asked():
    return redeem(HERE, "c0de", redirect_uri="https://us/cb", verifier="v" * 43, now=NOW)


def answered(flow, status=200, **body):
    request = next(flow)
    response = httpx2.Response(status, content=json.dumps(body), request=request)
    with pytest.raises(StopIteration) as end:
        flow.send(response)
    return end.value.value


def test_a_challenge_is_that_of_the_rfc():
    """RFC 7636, Appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_code_is_shown_with_where_it_was_sent_and_the_proof_that_we_asked():
    request = next(asked())
    assert (request.method, request.url.query) == ("POST", b"")
    assert request.headers["authorization"].startswith("Basic ")
    assert sorted(httpx2.QueryParams(request.content.decode()).multi_items()) == [
        ("code", "c0de"),
        ("code_verifier", "v" * 43),
        ("grant_type", "authorization_code"),
        ("redirect_uri", "https://us/cb"),
    ]


GOOD = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 60}


def test_what_lasts_comes_with_the_token_and_is_never_shown():
    given = answered(asked(), **GOOD, refresh_token="rt-1", scope="a b")
    assert (given.token.value, given.refresh_token, str(given.token.scope)) == (
        "at-1",
        "rt-1",
        "a b",
    )
    assert "rt-1" not in repr(given)


def test_what_ends_and_has_no_refresh_token_does_not_last():
    assert answered(asked(), **GOOD).refresh_token == ""


def test_a_token_that_does_not_end_is_kept_in_its_place():
    body = {name: it for name, it in GOOD.items() if name != "expires_in"}
    given = answered(asked(), **body)
    assert is_endless(given.refresh_token)
    again = endless(given.refresh_token, Scope.parse("a"), now=NOW)
    assert (again.token.value, str(again.token.scope)) == ("at-1", "a")
    assert again.token.expires_at > NOW
    assert what_is_over(given.refresh_token) == ("at-1", "access_token")
    assert what_is_over("rt-1") == ("rt-1", "refresh_token")
    assert not is_endless("rt-1")


@pytest.mark.parametrize("shown", ["c0de", "v" * 43, "hush-hush"])
def test_whoever_repeats_what_only_they_should_know_is_not_repeated(shown):
    flow = asked()
    request = next(flow)
    said = {"error": "invalid_grant", "error_description": f"we do not know {shown}"}
    with pytest.raises(TokenError) as caught:
        flow.send(httpx2.Response(400, content=json.dumps(said), request=request))
    assert caught.value.error == "invalid_grant"
    assert shown not in f"{caught.value} {caught.value.description}"
