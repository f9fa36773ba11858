"""Token requests and token responses, read and written once."""

import json

import pytest

from tokenward.oauth.errors import InvalidClient, InvalidRequest, InvalidTarget, OAuthError
from tokenward.oauth.messages import AccessToken, TokenRequest, TokenResponse
from tokenward.oauth.scope import Scope

CC = ("grant_type", "client_credentials")
NOW = 1_000_000.0


def test_a_request_is_parsed_once():
    request = TokenRequest.parse(
        [CC, ("scope", "b a"), ("audience", "x"), ("resource", "https://y"), ("new", "z")],
        issuer="main",
    )
    assert request.grant_type == "client_credentials"
    assert str(request.scope) == "a b"
    assert request.targets == ("x", "https://y")
    assert request.get("scope") == "b a"
    assert request.get("missing") == ""
    assert request.issuer == "main"


def test_what_has_no_value_counts_as_omitted():
    request = TokenRequest.parse([CC, ("scope", ""), ("scope", ""), ("audience", ""), ("x", "")])
    assert (request.get("scope"), request.targets) == ("", ())


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ([], InvalidRequest),
        ([("grant_type", "")], InvalidRequest),
        ([CC, CC], InvalidRequest),
        ([CC, ("scope", "a"), ("scope", "a")], InvalidRequest),
        ([CC, ("unknown", "a"), ("unknown", "b")], InvalidRequest),
        ([CC, ("resource", "not a uri")], InvalidTarget),
        ([CC, ("resource", "/relative")], InvalidTarget),
        ([CC, ("resource", "https://x/#fragment")], InvalidTarget),
        ([CC, ("resource", "https://[::1")], InvalidTarget),
        ([CC, *[("audience", str(number)) for number in range(17)]], InvalidTarget),
    ],
)
def test_requests_that_make_no_sense_are_refused(form, error):
    with pytest.raises(error):
        TokenRequest.parse(form)


def test_a_missing_parameter_is_named():
    with pytest.raises(InvalidRequest, match="assertion is required"):
        TokenRequest.parse([CC]).require("assertion")


def test_secrets_do_not_show():
    request = TokenRequest.parse([CC, ("client_id", "n"), ("client_secret", "hush-hush")])
    token = AccessToken(value="hush-hush", expires_at=NOW)
    response = TokenResponse(access_token=token, refresh_token="hush-hush")
    assert "hush" not in repr((request, token, response))


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"expires_in": 3600}, 3600),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3599.9}, 3599),
        ({"expires_in": 0}, 0),
        ({"expires_in": -1}, 0),
        ({"expires_in": 10**30}, 365 * 86_400),
        ({}, 300),
        ({"expires_in": None}, 300),
        ({"token_type": "bearer", "expires_in": 60}, 60),
    ],
)
def test_answers_that_are_tokens(answer, seconds):
    token = AccessToken.parse({"access_token": "t"} | answer, now=NOW)
    assert token.expires_in(NOW) == seconds


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "token",
        {},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": 1},
        {"access_token": "a b"},
        {"access_token": "a\r\nSet-Cookie: x"},
        {"access_token": "ä"},
        {"access_token": "x" * 70_000},
        {"access_token": "t", "token_type": "mac"},
        {"access_token": "t", "token_type": None},
        {"access_token": "t", "scope": ["a"]},
        {"access_token": "t", "scope": 'a"b'},
        {"access_token": "t", "expires_in": True},
        {"access_token": "t", "expires_in": []},
        {"access_token": "t", "expires_in": "soon"},
        {"access_token": "t", "expires_in": "1e3"},
        {"access_token": "t", "expires_in": float("nan")},
        {"access_token": "t", "expires_in": float("inf")},
    ],
)
def test_answers_that_are_none(answer):
    with pytest.raises(ValueError, match=r"."):
        AccessToken.parse(answer, now=NOW)


def test_the_scope_is_what_was_asked_unless_the_answer_says_otherwise():
    asked = Scope.parse("a b")
    assert AccessToken.parse({"access_token": "t"}, now=NOW, asked=asked).scope == asked
    narrower = AccessToken.parse({"access_token": "t", "scope": "a"}, now=NOW, asked=asked)
    assert str(narrower.scope) == "a"


def test_a_response_says_what_there_is_to_say_and_nothing_else():
    plain = TokenResponse(access_token=AccessToken(value="t", expires_at=NOW + 60.9))
    assert plain.to_json(NOW) == {"access_token": "t", "token_type": "Bearer", "expires_in": 61}
    full = TokenResponse(
        access_token=AccessToken(value="t", expires_at=NOW - 5, scope=Scope.parse("b a")),
        issued_token_type="urn:x",
        refresh_token="r",
    )
    assert full.to_json(NOW) == {
        "access_token": "t",
        "token_type": "Bearer",
        "expires_in": 0,
        "scope": "a b",
        "issued_token_type": "urn:x",
        "refresh_token": "r",
    }


def _errors(kind=OAuthError):
    for one in kind.__subclasses__():
        if one.__module__ == "tokenward.oauth.errors":
            yield one
            yield from _errors(one)


@pytest.mark.parametrize("error", sorted(_errors(), key=lambda kind: kind.__name__))
def test_every_error_has_a_code_a_status_and_words_for_the_caller(error):
    raised = error(detail="for the operator only")
    body = raised.to_json()
    assert body["error"] == error.error
    assert body["error_description"]
    assert "operator" not in json.dumps(body)
    assert raised.detail == "for the operator only"
    assert error.status in (400, 401, 429, 503)


def test_descriptions_keep_to_the_characters_that_are_allowed():
    said = InvalidClient('say "no" to \\ and \u00e4 and \n').description
    assert said == "say 'no' to ' and ' and '"
