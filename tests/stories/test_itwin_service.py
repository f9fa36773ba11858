"""An iTwin service application: ask ``/connect/token`` with id and secret, then ``users/me``.

Here tokenward is Bentley's IMS: the application is the one of the tutorial with another address.
"""

from base64 import b64encode
from hashlib import sha256
from urllib.parse import quote_plus, urlencode

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.running import CONFIG, free_port, hashed
from tests.stories.wire import send
from tokenward.client import TokenAuth, TokenCache, TokenError
from tokenward.server.serve import serving
from tokenward.verifier import BearerMiddleware, Verifier

CLIENT_ID = "service-Hd7LkW2pXzQe9v"
CLIENT_SECRET = "service-app-Jm4TqZ8nVbR6yXc2KsLw5PdGh9FuAe"
OTHER_SECRET = "another-app-Wn5YtK3vRzB7mQx9LcJs2HdPg6FaUe"
PLATFORM = "https://api.bentley.com"
MEDIA_TYPE = "application/vnd.bentley.itwin-platform.v1+json"

SETTINGS = """
issuers.main = {{ url = "http://127.0.0.1:{port}", profile = "ims" }}
store  = "sqlite:tokenward.db"
listen = "127.0.0.1:{port}"
audit  = {{ to = "audit.jsonl" }}

[callers.service-Hd7LkW2pXzQe9v]
proof   = "client_secret"
secrets = ["${{SERVICE}}"]
[callers.reader]
proof   = "client_secret"
secrets = ["${{OTHER}}"]

[tokens.platform]
audience = "https://api.bentley.com"
scopes   = ["itwin-platform", "itwins:read"]
default  = ["itwin-platform"]
lifetime = "1h"
[tokens.elsewhere]
audience = "https://elsewhere.bentley.com"
scopes   = ["itwin-platform"]

[[allow]]
caller = "service-Hd7LkW2pXzQe9v"
token  = "platform"
scope  = "itwin-platform itwins:read"
[[allow]]
caller = "reader"
token  = "platform"
scope  = "itwins:read"
[[allow]]
caller = "reader"
token  = "elsewhere"
scope  = "itwin-platform"
"""


def platform(issuer):
    """The iTwin Platform's ``users/me``, which takes the tokens of this issuer."""

    async def me(request):
        client = request.scope["tokenward.claims"]["client_id"]
        user = {
            "id": "4d6f6e61-0000-4000-8000-000000000001",
            "displayName": client,
            "givenName": "Service",
            "surname": "App",
            "email": f"{client}@apps.imsoidc.bentley.com",
        }
        return JSONResponse({"user": user}, media_type=MEDIA_TYPE)

    app = Starlette(routes=[Route("/users/me", me)])
    return BearerMiddleware(app, Verifier(issuer, PLATFORM), scope="itwin-platform")


@pytest.fixture(scope="module")
def ims(running, ledger):
    ledger.secret("the secret of the service", CLIENT_SECRET)
    ledger.secret("the secret of the reader", OTHER_SECRET)
    with running(
        "service",
        files={CONFIG: SETTINGS.format(port=free_port())},
        environ={"SERVICE": hashed(CLIENT_SECRET), "OTHER": hashed(OTHER_SECRET)},
    ) as server:
        yield server


@pytest.fixture(scope="module")
def api(ims):
    with serving(platform(ims.url)) as url:
        yield url


@pytest.fixture
def curl(ims):
    """What ``curl -d name=value … /connect/token`` sends, and what it gets."""

    def post(*headers, **form):
        reply = send(
            f"{ims.url}/connect/token",
            "User-Agent: curl/7.88.1",
            "Accept: */*",
            "Content-Type: application/x-www-form-urlencoded",
            *headers,
            method="POST",
            body=urlencode(form),
        )
        answer = httpx2.Response(reply.status, content=reply.body).json()
        ims.ledger.tokens("a token of the service", answer)
        return reply, answer

    return post


def of_the_tutorial(**changes):
    """The form of the tutorial: client_secret_post."""
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scope": "itwin-platform",
    }
    return {name: value for name, value in (form | changes).items() if value}


def test_the_tutorial_from_token_to_users_me(curl, api):
    reply, answer = curl(**of_the_tutorial())
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert (answer["token_type"], answer["scope"]) == ("Bearer", "itwin-platform")
    assert 0 < answer["expires_in"] <= 3600

    bearer = f"Authorization: {answer['token_type']} {answer['access_token']}"
    me = send(f"{api}/users/me", bearer, f"Accept: {MEDIA_TYPE}")
    assert me.status == 200
    assert f'"email":"{CLIENT_ID}@apps.imsoidc.bentley.com"' in me.body


def test_basic_does_as_well(curl):
    form = of_the_tutorial(client_id="", client_secret="")
    pair = b64encode(f"{CLIENT_ID}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
    assert curl(f"Authorization: Basic {pair}", **form)[0].status == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": OTHER_SECRET}, 401, "invalid_client"),
        ({"client_secret": CLIENT_SECRET[:-1]}, 401, "invalid_client"),
        ({"client_id": "service-nobody"}, 401, "invalid_client"),
        ({"client_id": "reader"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 401, "invalid_client"),
        ({"scope": "openid"}, 400, "invalid_scope"),
        ({"scope": "itwin-platform email profile organization"}, 400, "invalid_scope"),
        ({"scope": "itwin-platform everything"}, 400, "invalid_scope"),
        ({"audience": "https://elsewhere.bentley.com"}, 400, "invalid_target"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
    ],
)
def test_no_token_for_anybody_or_anything_else(curl, ims, changes, status, error):
    reply, answer = curl(**of_the_tutorial(**changes))
    assert (reply.status, answer["error"]) == (status, error)
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert ims.event(id=reply.headers["x-request-id"])["error"] == error


def credentials(issuer, client_id=CLIENT_ID, secret=CLIENT_SECRET, **asked):
    return TokenAuth.client_credentials(issuer, client_id, secret, cache=TokenCache(), **asked)


def test_the_same_with_our_client_library(ims, api):
    """It finds the token endpoint by the metadata of the issuer, and asks once."""
    before = len(ims.events(event="token", outcome="ok"))
    auth = credentials(ims.url, scope="itwin-platform", only_to=[api])
    with httpx2.Client(base_url=api, auth=auth) as http:
        users = [http.get("/users/me").raise_for_status().json()["user"] for _ in range(3)]
    assert users == [users[0]] * 3
    assert users[0]["email"] == f"{CLIENT_ID}@apps.imsoidc.bentley.com"

    token = ims.ledger.token("a token of the library", str(auth.token()))
    ims.event(token_sha256=sha256(token.encode()).hexdigest())
    assert len(ims.events(event="token", outcome="ok")) == before + 1


@pytest.mark.parametrize(
    ("scope", "audience", "status", "error"),
    [
        ("itwins:read", PLATFORM, 403, "insufficient_scope"),
        ("", "elsewhere", 401, "invalid_token"),
    ],
)
def test_the_platform_takes_no_other_token(ims, api, scope, audience, status, error):
    auth = credentials(ims.url, "reader", OTHER_SECRET, scope=scope, audience=audience)
    token = ims.ledger.token("a token of the reader", str(auth.token()))
    me = send(f"{api}/users/me", f"Authorization: Bearer {token}")
    assert me.status == status
    assert f'error="{error}"' in me.headers["www-authenticate"]
    assert "user" not in me.body


def test_the_platform_takes_nothing_without_a_token(api):
    assert send(f"{api}/users/me").status == 401


def test_our_client_library_sends_nothing_with_a_wrong_secret(ims, api):
    auth = credentials(ims.url, secret=OTHER_SECRET, scope="itwin-platform")
    with httpx2.Client(base_url=api, auth=auth) as http, pytest.raises(TokenError) as refused:
        http.get("/users/me")
    assert refused.value.error == "invalid_client"
