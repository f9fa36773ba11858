"""What callers hear, in the three voices."""

import json
from base64 import urlsafe_b64decode

import pytest

from tokenward.oauth import errors as oauth
from tokenward.oauth.errors import (
    AccessDenied,
    InteractionRequired,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedTokenType,
)
from tokenward.server.bodies import TooLarge, TooSlow
from tokenward.server.endpoints import errors

ALL = [
    one
    for one in (*vars(oauth).values(), TooLarge, TooSlow)
    if isinstance(one, type) and issubclass(one, OAuthError) and one is not OAuthError
]
VOICES = [errors.json, errors.bearer, errors.text]
SECRET = "what-only-the-operator-may-know"


def headers(answer):
    found = dict(answer.headers)
    assert len(found) == len(answer.headers), "no header comes twice"
    return {name.decode(): value.decode() for name, value in found.items()}


@pytest.mark.parametrize("error", ALL)
def test_json_is_the_error_response_of_the_rfc(error):
    answer = errors.json(error("it is so", detail=SECRET))
    assert answer.status == error.status
    assert json.loads(answer.body) == {"error": error.error, "error_description": "it is so"}
    said = headers(answer)
    assert said["content-type"] == "application/json"
    assert said["cache-control"] == "no-store"
    assert said["pragma"] == "no-cache"
    challenged = 'Basic realm="tokenward"' if issubclass(error, InvalidClient) else None
    assert said.get("www-authenticate") == challenged


BEARER = [
    (InvalidGrant, 401, "invalid_token"),
    (InvalidClient, 401, "invalid_token"),
    (InvalidTarget, 403, "insufficient_scope"),
    (InvalidScope, 403, "insufficient_scope"),
    (UnauthorizedClient, 403, "insufficient_scope"),
    (AccessDenied, 403, "insufficient_scope"),
    (InteractionRequired, 403, "interaction_required"),
    (UnsupportedGrantType, 400, "invalid_request"),
    (UnsupportedTokenType, 400, "invalid_request"),
    (TooLarge, 413, "invalid_request"),
    (TooSlow, 408, "invalid_request"),
]


@pytest.mark.parametrize(("error", "status", "code"), BEARER)
@pytest.mark.parametrize("voice", [errors.bearer, errors.text])
@pytest.mark.parametrize("presented", [False, True])
def test_whoever_came_with_a_token_hears_what_is_wrong_with_it(
    voice, error, status, code, presented
):
    answer = voice(error("it is so", detail=SECRET), presented=presented)
    assert answer.status == status
    assert headers(answer)["www-authenticate"] == (
        f'Bearer realm="tokenward", error="{code}", error_description="it is so"'
    )


@pytest.mark.parametrize("voice", [errors.bearer, errors.text])
def test_whoever_came_without_hears_only_which_scheme_to_use(voice):
    answer = voice(InvalidRequest("there is no bearer token"))
    assert answer.status == 401
    assert headers(answer)["www-authenticate"] == 'Bearer realm="tokenward"'


@pytest.mark.parametrize("voice", [errors.bearer, errors.text])
def test_a_faulty_request_with_a_token_is_a_bad_request(voice):
    answer = voice(InvalidRequest("it is so"), presented=True)
    assert answer.status == 400
    assert 'error="invalid_request"' in headers(answer)["www-authenticate"]


@pytest.mark.parametrize("voice", VOICES)
def test_an_outage_says_when_to_come_again_and_challenges_nobody(voice):
    answer = voice(TemporarilyUnavailable(retry_after=17))
    said = headers(answer)
    assert (answer.status, said["retry-after"]) == (503, "17")
    assert "www-authenticate" not in said


def test_the_tables_here_leave_no_error_out():
    known = (InvalidRequest, TemporarilyUnavailable, *(error for error, _, _ in BEARER))
    assert [error for error in ALL if not issubclass(error, known)] == []


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("error", ALL)
def test_no_voice_says_the_detail_or_lets_anybody_be_cached(voice, error):
    answer = voice(error("it is so", detail=SECRET))
    assert SECRET not in repr(answer)
    assert headers(answer)["cache-control"] == "no-store"


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("error", ALL)
def test_what_is_said_can_neither_end_a_quotation_nor_a_line(voice, error):
    hostile = 'a" b\\ c\r\nX-Evil: d\x00 \u00e9'
    answer = voice(error(hostile))
    for name, value in answer.headers:
        assert not set(value) & set(b"\r\n\x00\\"), name
        assert value.isascii()
    challenge = headers(answer).get("www-authenticate", "")
    assert challenge.count('"') % 2 == 0
    assert answer.body.isascii()
    assert b"\n" not in answer.body


def looks_like_a_jwt(word):
    """As the mobile client would take it: three parts, of which the second is JSON."""
    parts = word.split(".")
    if len(parts) != 3:
        return False
    try:
        json.loads(urlsafe_b64decode(parts[1] + "=="))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("description", ["", "e30.e30.e30", "x e30.e30.e30", "one two"])
def test_the_second_word_of_a_text_is_never_a_token(error, description):
    assert looks_like_a_jwt("e30.e30.e30")
    body = errors.text(error(description)).body.decode()
    assert body.startswith("No token: ")
    assert not looks_like_a_jwt(body.split(" ")[1])


def test_every_error_explains_itself():
    for error in ALL:
        assert len(errors.text(error()).body) > len("No token: ") + 10
