"""A refresh token at somebody else's token endpoint: two sends and no mock."""

import httpx2
import pytest

from tests.server.upstreams.granting import NOW, granted
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError
from tokenward.server.model import Authorization
from tokenward.server.upstreams import Lasts
from tokenward.server.upstreams.refresh_token import RefreshToken

ENDPOINT = "https://accounts.example.com/token"
ISSUER = "https://accounts.example.com"
US = {
    "token_endpoint": ENDPOINT,
    "client_id": "us",
    "client_secret": "their-secret",
    "refresh_token": "the-first-one",
}
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": ENDPOINT,
    "revocation_endpoint": f"{ISSUER}/revoke",
}


def form(request):
    return dict(httpx2.QueryParams(request.content.decode()).multi_items())


def answer(request, body, status=200):
    return httpx2.Response(status, json=body, request=request)


def test_the_newest_is_shown_and_what_came_of_it_read():
    upstream = RefreshToken(**US, audience="api", parameters={"tenant": "t"})
    flow = upstream.refreshed("the-newest-one", Scope.parse("b a"), now=NOW)
    request = next(flow)
    assert str(request.url) == ENDPOINT
    assert form(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "the-newest-one",
        "scope": "a b",
        "audience": "api",
        "tenant": "t",
    }
    said = {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r"}
    with pytest.raises(StopIteration) as end:
        flow.send(answer(request, said))
    got = end.value.value
    assert (got.token.value, got.token.expires_at, got.refresh_token) == ("a", NOW + 60, "r")


def test_a_public_client_says_its_name_and_shows_nothing():
    upstream = RefreshToken(**US | {"client_secret": ""}, auth="none")
    request = next(upstream.refreshed("r", Scope(), now=NOW))
    assert "authorization" not in request.headers
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "us"}


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({"revocation_endpoint": f"{ISSUER}/end"}, f"{ISSUER}/end"),
        ({"token_endpoint": "", "issuer": ISSUER}, f"{ISSUER}/revoke"),
        (
            {
                "token_endpoint": "",
                "issuer": ISSUER,
                "revocation_endpoint": "https://elsewhere.example/end",
            },
            "https://elsewhere.example/end",
        ),
    ],
)
def test_it_is_ended_where_the_settings_or_the_metadata_say(settings, at):
    flow = RefreshToken(**US | settings).revoked("the-newest-one", now=NOW)
    request = next(flow)
    if request.method == "GET":
        request = flow.send(answer(request, METADATA))
    assert str(request.url) == at
    assert form(request) == {"token": "the-newest-one", "token_type_hint": "refresh_token"}
    with pytest.raises(StopIteration) as end:
        flow.send(httpx2.Response(200, request=request))
    assert end.value.value is True


def test_without_a_place_for_that_nothing_is_sent():
    with pytest.raises(StopIteration) as end:
        next(RefreshToken(**US).revoked("r", now=NOW))
    assert end.value.value is False


def test_nobody_shows_it_who_does_not_keep_what_comes_of_it():
    upstream = RefreshToken(**US)
    assert isinstance(upstream, Lasts)
    authorization: Authorization = granted("a")
    with pytest.raises(RemoteError, match="by the running server alone"):
        next(upstream.flow(authorization, now=NOW))


def test_it_is_shared_by_the_scope():
    upstream = RefreshToken(**US)
    assert upstream.shared_by(granted("a b")) == upstream.shared_by(granted("b a"))
    assert upstream.shared_by(granted("a")) != upstream.shared_by(granted("b"))


def test_no_secret_is_in_its_repr():
    said = repr(RefreshToken(**US))
    assert "the-first-one" not in said
    assert "their-secret" not in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refresh_token": ""}, "refresh_token: is empty"),
        ({"refresh_token": "a\nb"}, "refresh_token: is empty, or has characters"),
        ({"refresh_token": "ключ"}, "refresh_token: is empty, or has characters"),
        ({"client_id": ""}, "client_id is missing"),
        ({"client_id": "", "client_secret": ""}, "client_id is missing"),
        ({"client_secret": ""}, "client_secret is missing"),
        ({"token_endpoint": ""}, "exactly one of"),
        ({"issuer": ISSUER}, "exactly one of"),
        ({"token_endpoint": "http://accounts.example.com/token"}, "token_endpoint must be https"),
        ({"revocation_endpoint": "http://accounts.example.com/end"}, "revocation_endpoint must"),
        ({"revocation_endpoint": "revoke"}, "revocation_endpoint must start with https"),
        ({"parameters": {"refresh_token": "x"}}, "refresh_token is no other parameter"),
        ({"parameters": {"token": "x"}}, "token is no other parameter"),
        ({"resource": "api"}, "resource must be an absolute URI"),
    ],
)
def test_nonsense_is_refused_without_repeating_a_secret(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        RefreshToken(**US | change)
    assert "the-first-one" not in str(caught.value)
