"""The iTwin mobile sample's token server, request by request, and what was wrong with the original.

The apps want ``GET /getToken`` with the token of whoever signed in at Auth0, and text: ``Bearer``,
a blank, a JWT. The one for iOS takes the second word of whatever comes, and falls over where there
is none; the one for Android cuts off ``Bearer`` and reads ``exp``.
"""

import json
import socket
import time
from base64 import urlsafe_b64decode
from contextlib import ExitStack, suppress
from itertools import combinations

import pytest

from tests.running import Tokenward, free_port
from tests.stories.there import API, PROFILE, Auth0, Ims
from tests.stories.wire import send
from tests.upstream import THEIRS, hangs_up, says, token
from tokenward.jose.keys import SigningKey

CLIENT_ID = "service-Kq3VnT8xWbZr1m"
CLIENT_SECRET = "itm server's own secret+/=%41 KcV8mXq2"
SCOPE = "itwinjs imodels:read users:read itwins:read"


def decoded(word: str) -> dict[str, object] | None:
    """The claims, if the word is a JWT as the apps understand it."""
    with suppress(ValueError, IndexError):
        payload = word.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims if isinstance(claims, dict) else None
    return None


class Story:
    """The server, the tenant its people are of, and the platform its tokens are from."""

    def __init__(self, running, ledger, stack, *, written="environment"):
        self.ledger = ledger
        self.auth0 = stack.enter_context(Auth0(SigningKey.generate("RS256")).serving())
        self.ims = stack.enter_context(Ims(CLIENT_ID, CLIENT_SECRET))
        self.port = free_port()
        variables = self.variables()
        lines = "".join(f'{name}="{value}"\n' for name, value in variables.items())
        how = {"environ": variables} if written == "environment" else {"files": {written: lines}}
        ledger.secret("the secret of the token server", CLIENT_SECRET)
        for claim, value in PROFILE.items():
            ledger.secret(f"the {claim} of the user", value)
        self.server = stack.enter_context(running("mobile", **how))

    def variables(self):
        return {
            "ITM_TOKEN_SERVER_CLIENT_ID": CLIENT_ID,
            "ITM_TOKEN_SERVER_CLIENT_SECRET": CLIENT_SECRET,
            "ITM_TOKEN_SERVER_AUTH0_DOMAIN": self.auth0.origin,
            "ITM_TOKEN_SERVER_AUTHORITY": self.ims.url,
            "ITM_TOKEN_SERVER_PORT": str(self.port),
        }

    def get(self, authorization=None, query="", *more):
        """What the app's request brings; tokens on both sides are entered."""
        lines = [] if authorization is None else [f"Authorization: {authorization}"]
        self.ledger.tokens("the caller's token", authorization or "")
        self.asked = len(self.ims.questions)
        reply = send(f"http://127.0.0.1:{self.port}/getToken{query}", *lines, *more)
        self.ledger.tokens("the platform's token", reply.body)
        return reply

    def signed_in(self, query="", **claims):
        return self.get(f"Bearer {self.auth0.sign_in(**claims)}", query)

    def refused(self, reply, status):
        """A refusal is no token to either app, and in the audit trail; no cost to the platform."""
        assert reply.status == status
        assert (len(self.ims.questions) > self.asked) == (status == 503)
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["cache-control"] == "no-store"
        assert decoded(reply.body.split(" ")[1]) is None
        event = self.server.event(id=reply.headers["x-request-id"])
        assert (event["outcome"], event["event"]) == ("refused", "getToken")


@pytest.fixture(scope="module")
def story(running, ledger):
    with ExitStack() as stack:
        yield Story(running, ledger, stack)


@pytest.fixture
def another(running, ledger):
    """Begins another story, for those that end differently."""
    with ExitStack() as stack:
        yield lambda **how: Story(running, ledger, stack, **how)


def test_both_apps_understand_the_answer(story):
    reply = story.signed_in()
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"

    ios = reply.body.split(" ")[1]
    android = reply.body.replace("Bearer ", "")
    assert reply.body == f"Bearer {story.ims.tokens[0]}"
    assert ios == android == story.ims.tokens[0]
    assert ios.startswith("eyJ")
    assert decoded(ios)["exp"] > time.time() + 120
    assert set(decoded(ios)["scope"]) == set(SCOPE.split())


def test_the_platform_is_asked_as_its_service_applications_ask(story):
    story.signed_in()
    asked = story.ims.questions[0]
    assert asked.headers["authorization"] == story.ims.basic
    assert asked.form.keys() == {"grant_type", "scope"}
    assert set(asked.form["scope"].split()) == set(SCOPE.split())


def test_everybody_gets_the_one_token_of_the_service(story):
    first, given = story.signed_in(), len(story.ims.tokens)
    second = story.signed_in(sub="auth0|somebody-else")
    assert first.body == second.body
    assert len(story.ims.tokens) == given
    event = story.server.event(id=second.headers["x-request-id"])
    assert event["subject"] == "mobile|auth0|somebody-else"
    assert event["rule"] == "everybody of the Auth0 tenant"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(story, scheme):
    """The original wanted a capital letter (RFC 9110 §11.1: case-insensitive)."""
    assert story.get(f"{scheme} {story.auth0.sign_in()}").status == 200


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YW5uOnNlY3JldA==", "eyJhbGciOiJSUzI1NiJ9.e30.AA"],
)
def test_without_a_bearer_token_there_is_none(story, header):
    reply = story.get(header)
    story.refused(reply, 401)
    assert reply.headers["www-authenticate"] == 'Bearer realm="tokenward"'


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other-api.example.com"},
        {"aud": [f"{API}/", "https://other-api.example.com"]},
        {"aud": ...},
        {"iss": "https://elsewhere.auth0.com/"},
        {"iss": ...},
        {"exp": 1},
        {"exp": ...},
        {"exp": "4102444800"},
        {"nbf": 4102444800},
        {"sub": ...},
    ],
    ids=str,
)
def test_a_token_that_is_not_good_here_brings_none(story, claims):
    """The original never looked at ``aud``: any token of the tenant would do."""
    story.refused(story.signed_in(**claims), 401)


def test_the_slash_at_the_end_of_the_issuer_counts(story):
    story.refused(story.signed_in(iss=story.auth0.url.removesuffix("/")), 401)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda jwt, _: f"{jwt}x",
        lambda jwt, _: jwt.rpartition(".")[0] + ".",
        lambda jwt, _: "eyJhbGciOiJub25lIn0." + jwt.split(".")[1] + ".",
        lambda jwt, tenant: tenant.sign_in(
            key=SigningKey.generate("RS256", kid=tenant.keys[0].kid)
        ),
        lambda jwt, tenant: tenant.sign_in(key=SigningKey.generate("ES256")),
        lambda jwt, _: "x" * 9_000,
        lambda jwt, _: "opaque",
    ],
)
def test_a_token_that_the_tenant_did_not_sign_brings_none(story, spoil):
    """The body says nothing that the second word of could be taken for a token."""
    story.refused(story.get(f"Bearer {spoil(story.auth0.sign_in(), story.auth0)}"), 401)


@pytest.mark.parametrize("query", ["?audience=other", "?scope=everything", "?resource=urn:x"])
def test_what_nobody_may_have_is_forbidden(story, query):
    reply = story.signed_in(query)
    story.refused(reply, 403)
    assert 'error="insufficient_scope"' in reply.headers["www-authenticate"]


def test_two_tokens_at_once_bring_none(story):
    signed_in = f"Bearer {story.auth0.sign_in()}"
    story.refused(story.get(signed_in, "", f"Authorization: {signed_in}"), 401)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_a_get(story, method):
    reply = send(f"http://127.0.0.1:{story.port}/getToken", "Content-Length: 0", method=method)
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize("path", ["/token", "/", "/.well-known/jwks.json", "/gettoken"])
def test_there_is_nothing_else_but_health(story, path):
    """No issuer of our own, so nothing that an issuer has."""
    assert send(f"http://127.0.0.1:{story.port}{path}").status == 404
    assert send(f"http://127.0.0.1:{story.port}/healthz").status == 200


@pytest.mark.parametrize("written", ["environment", ".env.local", ".env"])
def test_its_variables_are_all_it_takes(another, written):
    story = another(written=written)
    assert story.signed_in().status == 200
    assert story.server.url == f"http://127.0.0.1:{story.port}"
    assert f"port {story.port}, over plain http" in story.server.stderr


def test_port_3001_unless_said_otherwise(ledger, story, tmp_path):
    environ = story.variables()
    del environ["ITM_TOKEN_SERVER_PORT"]
    with socket.socket() as taken:
        with suppress(OSError):  # whoever has it instead does as well
            taken.bind(("0.0.0.0", 3001))
            taken.listen()
        server = Tokenward(ledger=ledger, folder=tmp_path / "default", environ=environ)
        server.launch()
        assert server.ended() == 1
    assert "port 3001, over plain http" in server.stderr
    assert "Cannot listen on http://127.0.0.1:3001: another program uses it" in server.stderr


def test_what_is_missing_is_said_at_once(ledger, tmp_path):
    only = {"ITM_TOKEN_SERVER_CLIENT_ID": CLIENT_ID}
    server = Tokenward(ledger=ledger, folder=tmp_path / "missing", environ=only)
    server.launch()
    assert server.ended() == 78
    for name in "CLIENT_SECRET", "AUTH0_DOMAIN":
        assert f"error: ITM_TOKEN_SERVER_{name}: is not set" in server.stderr


def test_a_new_key_of_the_tenant_works_at_once_and_a_withdrawn_one_no_longer(another):
    """The original kept to the first key it had seen, whatever the token said."""
    story = another()
    old = story.auth0.sign_in()
    assert story.get(f"Bearer {old}").status == 200
    assert story.auth0.jwks()["keys"][0]["x5c"]

    story.auth0.keys = [SigningKey.generate("RS256")]
    assert story.signed_in().status == 200
    story.refused(story.get(f"Bearer {old}"), 401)
    assert story.auth0.count("/.well-known/jwks.json") == 2


def test_keys_that_cannot_be_had_are_nobodys_fault(another):
    story = another()
    story.auth0.behaviour["*"] = "500"
    reply = story.signed_in()
    assert (reply.status, decoded(reply.body.split(" ")[1])) == (503, None)
    assert int(reply.headers["retry-after"]) >= 1
    assert story.ims.questions == []


@pytest.fixture(scope="module")
def troubled(running, ledger):
    """A story, and scopes that nobody has a token for yet."""
    ledger.secret("the upstream's own words", THEIRS)
    ledger.secret("a token of more scope", "a-token-of-more-scope")
    scopes = SCOPE.split()
    subsets = [*combinations(scopes, 1), *combinations(scopes, 2)]
    with ExitStack() as stack:
        yield Story(running, ledger, stack), iter(subsets)


@pytest.mark.parametrize(
    "trouble",
    [
        says(500, THEIRS),
        says(200, f"<html>{THEIRS}</html>", Content_Type="text/html"),
        says(200, json.dumps({"error": THEIRS}), Content_Type="application/json"),
        says(401, json.dumps({"error": "invalid_client", "error_description": THEIRS})),
        says(302, THEIRS, Location="https://elsewhere.example.com"),
        token(access_token="a-token-of-more-scope", scope="everything"),
        hangs_up,
    ],
    ids=["500", "HTML", "no token", "401", "302", "more scope", "hangs up"],
)
def test_trouble_upstream_is_503_and_the_next_success_is_served(troubled, trouble):
    """The original ended: an error in a callback that nobody caught."""
    story, scopes = troubled
    query = f"?scope={'%20'.join(next(scopes))}"
    story.ims.always = trouble
    reply = story.signed_in(query)
    story.refused(reply, 503)
    assert int(reply.headers["retry-after"]) >= 1
    assert "www-authenticate" not in reply.headers
    assert THEIRS not in reply.body

    story.ims.always = story.ims.answer
    assert story.signed_in(query).body == f"Bearer {story.ims.tokens[-1]}"
    assert story.server.process.poll() is None


def test_nothing_of_the_user_but_their_id_is_written(story):
    """The original logged the whole profile. The ledger looks for the rest of it when all ends."""
    reply = story.signed_in()
    event = story.server.event(id=reply.headers["x-request-id"])
    assert event["subject"] == "mobile|auth0|5f7c8ec7c33c6c004bbafe82"
    written = story.server.stderr + json.dumps(story.server.events())
    assert [claim for claim, value in PROFILE.items() if value in written] == []
