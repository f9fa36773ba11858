"""Refresh tokens: shown, taken over, and ended, with the test playing the other side."""

import httpx2
import pytest

from tests.client.test_flows import BY_POST, HERE, NOW, answered, form_of
from tests.upstream import THEIRS
from tokenward.client import TokenEndpoint, TokenError
from tokenward.client.lasting import Lasting, refresh, revoke
from tokenward.remote.fetch import RemoteError

GOOD = {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r2"}
METADATA = {
    "issuer": "https://tokens.example",
    "token_endpoint": "https://tokens.example/token",
    "revocation_endpoint": "https://tokens.example/revoke",
}


def refused(flow, status, body=None, text=None):
    with pytest.raises(TokenError) as caught:
        answered(flow, status, body, text=text)
    return caught.value


def test_it_is_shown_with_what_is_asked_for():
    request = next(refresh(HERE, "r1", scope="", audience="api", resource="a:b", now=NOW))
    assert (request.method, str(request.url)) == ("POST", "https://tokens.example/token")
    assert form_of(request) == [
        ("audience", "api"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "r1"),
        ("resource", "a:b"),
    ]
    assert "r1" not in str(request.url)


def test_what_comes_back_is_both_tokens():
    got = answered(refresh(HERE, "r1", now=NOW), 200, GOOD)
    assert (got.token.value, got.token.expires_at, got.refresh_token) == ("a", NOW + 60, "r2")
    assert "r2" not in repr(got)


@pytest.mark.parametrize("none", [{}, {"refresh_token": ""}, {"refresh_token": None}])
def test_without_another_one_there_is_none(none):
    body = {name: it for name, it in GOOD.items() if name != "refresh_token"} | none
    got = answered(refresh(HERE, "r1", now=NOW), 200, body)
    assert (got.token.value, got.refresh_token) == ("a", "")


@pytest.mark.parametrize("bad", [7, ["r2"], True, "r\n2", "ré", "r" * 65_537, {"r": 2}])
def test_one_that_cannot_be_written_is_none(bad):
    got = Lasting.parse(GOOD | {"refresh_token": bad}, now=NOW)
    assert (got.token.value, got.refresh_token) == ("a", "")


@pytest.mark.parametrize(
    "bad",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a b"},
        {"token_type": "mac"},
        {"expires_in": "soon"},
        {"scope": ["a"]},
    ],
)
def test_a_new_one_is_not_lost_beside_a_useless_access_token(bad):
    got = answered(refresh(HERE, "r1", now=NOW), 200, GOOD | bad)
    assert got.token is None
    assert got.fault
    assert got.refresh_token == "r2"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "invalid_grant", "error_description": "it has ended"}, "invalid_grant"),
        (401, {"error": "invalid_client"}, "invalid_client"),
        (400, {"error": "r1-is-a-secret"}, ""),
        (500, {}, ""),
        (404, {}, ""),
    ],
)
def test_a_refusal_says_why_and_repeats_no_secret(status, body, error):
    fault = refused(refresh(HERE, "r1-is-a-secret", now=NOW), status, body)
    assert (fault.status, fault.error) == (status, error)
    assert "r1-is" not in str(fault)


@pytest.mark.parametrize("said", ["r1-is-a-secret has ended", "the r1-is-a-secret"])
def test_a_description_that_repeats_it_is_dropped(said):
    body = {"error": "invalid_grant", "error_description": said}
    assert refused(refresh(HERE, "r1-is-a-secret", now=NOW), 400, body).description == ""


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"access_token": "a"'])
def test_what_is_no_answer_is_an_error(text):
    assert refused(refresh(HERE, "r1", now=NOW), 200, text=text).status == 200


# ── ended ──


def revoking(endpoint, token, status=200, text=""):
    """The request that was made, and what came of the answer."""
    flow = revoke(endpoint, token, now=NOW)
    request = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(httpx2.Response(status, content=text, request=request))
    return request, end.value.value


@pytest.mark.parametrize("text", ["", "ok", "<html>", "{}"])
def test_whatever_is_said_with_a_200_it_has_ended(text):
    there = TokenEndpoint(
        url="https://t.example/token",
        credentials=BY_POST,
        revocation_url="https://t.example/revoke",
    )
    request, done = revoking(there, "r1", text=text)
    assert done is True
    assert str(request.url) == "https://t.example/revoke"
    assert form_of(request) == [
        ("client_id", "nightly"),
        ("client_secret", "hush-hush"),
        ("token", "r1"),
        ("token_type_hint", "refresh_token"),
    ]


def test_where_to_say_so_is_in_the_metadata():
    flow = revoke(TokenEndpoint(issuer="https://tokens.example"), "r1", now=NOW)
    request = next(flow)
    assert request.method == "GET"
    request = flow.send(httpx2.Response(200, json=METADATA, request=request))
    assert str(request.url) == "https://tokens.example/revoke"


@pytest.mark.parametrize(
    "changes",
    [
        {"revocation_endpoint": None},
        {"revocation_endpoint": "https://evil.example/revoke"},
        {"revocation_endpoint": "http://tokens.example/revoke"},
        {"revocation_endpoint": 7},
    ],
)
def test_where_there_is_nowhere_to_say_so_nothing_is_sent(changes):
    flow = revoke(TokenEndpoint(issuer="https://tokens.example"), "r1", now=NOW)
    found = httpx2.Response(200, json={**METADATA, **changes}, request=next(flow))
    with pytest.raises(StopIteration) as end:
        flow.send(found)
    assert end.value.value is False
    assert list(revoke_nowhere()) == []


def revoke_nowhere():
    return revoke(HERE, "r1", now=NOW)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 404, 500, 503])
def test_anything_but_200_is_not_done(status):
    there = TokenEndpoint(url="https://t.example/token", revocation_url="https://t.example/revoke")
    flow = revoke(there, "r1-is-a-secret", now=NOW)
    response = httpx2.Response(status, text=f"{THEIRS} r1-is-a-secret", request=next(flow))
    with pytest.raises(RemoteError) as fault:
        flow.send(response)
    assert "r1-is" not in str(fault.value)
