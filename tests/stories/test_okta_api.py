"""A Node API with OAuth 2.0 client credentials: what the example's ``test.js`` does, and its API.

tokenward is the Okta authorization server of the example. The client sends id and secret in Basic
without any encoding, and shows the API ``${token_type} ${access_token}``.
"""

from base64 import b64encode
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.running import CONFIG, free_port, hashed
from tests.stories.wire import send
from tokenward.server.serve import serving
from tokenward.verifier import BearerMiddleware, Verifier

CLIENT_ID = "0oaTestClient4x7"
CLIENT_SECRET = "test-client+secret%2Bas it is/Vq8RzT3mXy6WbKc"
STRANGER_SECRET = "the-other-clients-secret-Ht6KwZ9qLm2XvRb"
DEFAULT_SCOPE = "such_scope"

SETTINGS = """
store  = "sqlite:tokenward.db"
listen = "127.0.0.1:{port}"
[audit]
to = "audit.jsonl"

[issuers.default]
url     = "http://127.0.0.1:{port}/oauth2/default"
profile = "okta"

[callers.test]
proof     = "client_secret"
client_id = "0oaTestClient4x7"
secrets   = ["${{TEST_CLIENT}}"]
[callers.stranger]
proof   = "client_secret"
secrets = ["${{STRANGER}}"]
[callers.other]
proof   = "client_secret"
secrets = ["${{STRANGER}}"]
[callers.barred]
proof   = "client_secret"
secrets = ["${{STRANGER}}"]
scope   = "admin"

[tokens.api]
audience = "api://default"
scopes   = {{ such_scope = "Much access", other_scope = "", admin = "" }}
[tokens.other]
audience = "api://other"
scopes   = ["such_scope"]

[[allow]]
name   = "test client"
caller = "test"
token  = "api"
scope  = "such_scope"
[[allow]]
name   = "test client elsewhere"
caller = "test"
token  = "other"
scope  = "such_scope"
[[allow]]
name   = "another client"
caller = "other"
token  = "api"
scope  = "other_scope"
[[allow]]
name   = "a client that may have nothing of it"
caller = "barred"
token  = "api"
scope  = "such_scope"
"""

# What people search for when Okta says no.
NO_DEFAULT = (
    "The authorization server resource does not have any configured default scopes, "
    "'scope' must be provided."
)
UNKNOWN = "One or more scopes are not configured for the authorization server resource."
POLICY = "Policy evaluation failed for this request, please check the policy configurations."
WRONG_SECRET = "The client secret supplied for a confidential client is invalid."


def hello(issuer):
    """The example's API, on our verifier."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("Hello World!"))])
    return BearerMiddleware(app, Verifier(issuer, "api://default"), scope=DEFAULT_SCOPE)


@pytest.fixture(scope="module")
def okta(running, ledger):
    ledger.secret("the secret of the test client", CLIENT_SECRET)
    ledger.secret("the secret of the others", STRANGER_SECRET)
    with running(
        "okta",
        files={CONFIG: SETTINGS.format(port=free_port())},
        environ={"TEST_CLIENT": hashed(CLIENT_SECRET), "STRANGER": hashed(STRANGER_SECRET)},
        arguments=("--config", CONFIG),
    ) as server:
        yield server


@pytest.fixture(scope="module")
def issuer(okta):
    return f"{okta.url}/oauth2/default"


@pytest.fixture(scope="module")
def api(issuer):
    with serving(hello(issuer)) as url:
        yield url


@pytest.fixture
def ask(okta, issuer):
    """The request of ``test.js`` for a token, and the answer."""

    def post(scope=DEFAULT_SCOPE, *, id=CLIENT_ID, secret=CLIENT_SECRET, more=""):
        token = b64encode(f"{id}:{secret}".encode()).decode()
        asked = f"&scope={quote(scope)}" if scope else ""
        reply = send(
            f"{issuer}/v1/token",
            f"authorization: Basic {token}",
            "accept: application/json",
            "content-type: application/x-www-form-urlencoded",
            method="POST",
            body=f"grant_type=client_credentials{asked}{more}",
        )
        answer = httpx2.Response(reply.status, content=reply.body).json()
        okta.ledger.tokens("a token of test.js", answer)
        return reply, answer

    return post


def test_the_test_client_says_hello(ask, api):
    reply, answer = ask(more="&resource=api%3A%2F%2Fdefault")
    assert reply.status == 200
    assert answer.keys() == {"token_type", "expires_in", "access_token", "scope"}
    assert (answer["token_type"], answer["scope"]) == ("Bearer", DEFAULT_SCOPE)

    said = send(f"{api}/", f"authorization: {answer['token_type']} {answer['access_token']}")
    assert (said.status, said.body) == (200, "Hello World!")


@pytest.mark.parametrize(
    ("asked", "status", "error", "description"),
    [
        ({"scope": "no_such_scope"}, 400, "invalid_scope", UNKNOWN),
        ({"scope": "such_scope no_such_scope"}, 400, "invalid_scope", UNKNOWN),
        ({"scope": "admin"}, 400, "access_denied", POLICY),
        ({"scope": "such_scope other_scope"}, 400, "access_denied", POLICY),
        ({"id": "stranger", "secret": STRANGER_SECRET}, 400, "access_denied", POLICY),
        ({"more": "&audience=api%3A%2F%2Felsewhere"}, 400, "access_denied", POLICY),
        ({"secret": STRANGER_SECRET}, 401, "invalid_client", WRONG_SECRET),
        ({"secret": CLIENT_SECRET[:-1]}, 401, "invalid_client", WRONG_SECRET),
        ({"id": "0oaNobody"}, 401, "invalid_client", WRONG_SECRET),
    ],
)
def test_no_is_said_in_oktas_words(ask, okta, asked, status, error, description):
    reply, answer = ask(**{"more": "&audience=api"} | asked)
    assert reply.status == status
    assert answer == {"error": error, "error_description": description}
    assert okta.event(id=reply.headers["x-request-id"])["outcome"] == "refused"


def test_without_a_scope_and_without_a_default_one_must_be_asked_for(ask):
    """The rule's scopes and those the client registered have nothing in common."""
    reply, answer = ask("", id="barred", secret=STRANGER_SECRET)
    assert reply.status == 400
    assert answer == {"error": "invalid_scope", "error_description": NO_DEFAULT}


def test_the_api_has_nothing_for_others(ask, api):
    for_others = ask(more="&audience=other")[1]["access_token"]
    other_scope = ask("other_scope", id="other", secret=STRANGER_SECRET)[1]["access_token"]
    head, payload, signature = ask(more="&audience=api")[1]["access_token"].split(".")
    for authorization, status in [
        (f"Bearer {for_others}", 401),
        (f"Bearer {other_scope}", 403),
        (f"Bearer {head}.{payload}.{signature[:-8]}AAAAAAAA", 401),
        (f"Bearer {head}.{payload}.", 401),
        (f"Basic {head}", 401),
        ("Bearer", 400),
    ]:
        said = send(f"{api}/", f"authorization: {authorization}")
        assert said.status == status, authorization
        assert "Hello" not in said.body
    assert send(f"{api}/").status == 401
