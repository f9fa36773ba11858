"""The conversations with a token endpoint, with the test playing the other side."""

import json

import httpx2
import pytest

from tests.client.standin import granted
from tokenward.client import Credentials, InsecureURL, TokenEndpoint, TokenError
from tokenward.oauth.errors import InvalidScope
from tokenward.oauth.messages import ACCESS_TOKEN, ID_TOKEN, JWT, JWT_BEARER, TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError

NOW = 1_800_000_000.0
US = Credentials(client_id="nightly", client_secret="hush-hush")
BY_POST = Credentials(client_id="nightly", client_secret="hush-hush", method="client_secret_post")
HERE = TokenEndpoint(url="https://tokens.example/token", credentials=US)


def form_of(request):
    return sorted(httpx2.QueryParams(request.content.decode()).multi_items())


def answered(flow, status=200, body=None, *, headers=None, text=None):
    """Play the other side: one request, one answer; what the flow makes of it."""
    request = next(flow)
    content = text if text is not None else json.dumps(body)
    response = httpx2.Response(status, headers=headers, content=content, request=request)
    with pytest.raises(StopIteration) as end:
        flow.send(response)
    return end.value.value


def refused(status, body=None, *, headers=None, text=None, endpoint=HERE):
    with pytest.raises(TokenError) as caught:
        answered(
            endpoint.client_credentials("a", now=NOW), status, body, headers=headers, text=text
        )
    return caught.value


def test_client_credentials_ask_with_basic_and_a_form():
    request = next(HERE.client_credentials("b a", now=NOW))
    assert (request.method, str(request.url)) == ("POST", "https://tokens.example/token")
    assert request.headers["authorization"].startswith("Basic ")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    assert form_of(request) == [("grant_type", "client_credentials"), ("scope", "a b")]


def test_credentials_by_post_are_in_the_body_and_nowhere_else():
    request = next(
        TokenEndpoint(url="https://t.example/token", credentials=BY_POST).client_credentials(
            now=NOW
        )
    )
    assert "authorization" not in request.headers
    assert form_of(request) == [
        ("client_id", "nightly"),
        ("client_secret", "hush-hush"),
        ("grant_type", "client_credentials"),
    ]


def test_no_secret_is_ever_in_a_url():
    for endpoint in HERE, TokenEndpoint(url="https://t.example/token", credentials=BY_POST):
        for flow in (
            endpoint.client_credentials("a", audience="b", now=NOW),
            endpoint.exchange("subject", now=NOW),
            endpoint.jwt_bearer("assertion", now=NOW),
        ):
            assert next(flow).url.query == b""


def test_an_exchange_names_its_tokens_and_their_types():
    request = next(
        HERE.exchange(
            "subject",
            subject_token_type=JWT,
            actor_token="actor",
            scope=Scope.of(["a"]),
            audience=["one", "two"],
            resource="https://api.example/",
            now=NOW,
        )
    )
    assert form_of(request) == sorted(
        [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", "subject"),
            ("subject_token_type", JWT),
            ("actor_token", "actor"),
            ("actor_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("audience", "one"),
            ("audience", "two"),
            ("resource", "https://api.example/"),
            ("scope", "a"),
        ]
    )


def test_an_exchange_needs_neither_client_nor_actor():
    request = next(TokenEndpoint(url="https://t.example/token").exchange("subject", now=NOW))
    assert "authorization" not in request.headers
    assert [name for name, _ in form_of(request)] == [
        "grant_type",
        "requested_token_type",
        "subject_token",
        "subject_token_type",
    ]


def test_an_assertion_is_sent_as_rfc_7523_says():
    request = next(HERE.jwt_bearer("eyJ", scope="a", audience="b", now=NOW))
    assert form_of(request) == [
        ("assertion", "eyJ"),
        ("audience", "b"),
        ("grant_type", JWT_BEARER),
        ("scope", "a"),
    ]


def test_a_scope_that_is_none_is_refused_before_anything_is_sent():
    with pytest.raises(InvalidScope):
        HERE.client_credentials('no "quotes"', now=NOW)


def test_an_answer_becomes_a_token_counted_from_the_time_before_it_was_asked():
    token = answered(HERE.client_credentials("a b", now=NOW), body=granted("t", expires_in=3600))
    assert (str(token), token.expires_at, str(token.scope)) == ("t", NOW + 3600, "a b")


def test_the_scope_given_counts_if_the_answer_says_one():
    token = answered(HERE.client_credentials("a b", now=NOW), body=granted(scope="a"))
    assert str(token.scope) == "a"


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(60, 60), ("60", 60), (59.9, 59), (0, 0), (-5, 0), (None, 300), (10**15, 86_400 * 365)],
)
def test_a_lifetime_may_be_spelled_in_many_ways(expires_in, seconds):
    body = granted(expires_in=expires_in)
    assert answered(HERE.client_credentials(now=NOW), body=body).expires_at == NOW + seconds


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_bearer_is_bearer_in_any_case(token_type):
    body = {"access_token": "t", "token_type": token_type}
    assert answered(HERE.client_credentials(now=NOW), body=body).token_type == "Bearer"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"token_type": "Bearer"},
        {"access_token": None, "token_type": "Bearer"},
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": "two words", "token_type": "Bearer"},
        {"access_token": "line\r\nX-Injected: 1", "token_type": "Bearer"},
        {"access_token": "t" * 70_000, "token_type": "Bearer"},
        {"access_token": "t", "token_type": "mac"},
        {"access_token": "t", "token_type": "N_A"},
        {"access_token": "t", "token_type": ["Bearer"]},
        {"access_token": "t", "token_type": "Bearer", "expires_in": "soon"},
        {"access_token": "t", "token_type": "Bearer", "expires_in": True},
        {"access_token": "t", "token_type": "Bearer", "expires_in": [60]},
        {"access_token": "t", "token_type": "Bearer", "scope": ["a"]},
        {"access_token": "t", "token_type": "Bearer", "scope": 'a"b'},
        {"error": "invalid_scope"},
        [],
        "t",
        None,
    ],
)
def test_an_answer_that_is_no_token_is_refused(body):
    error = refused(200, body)
    assert (error.status, error.error, error.transient) == (200, "", False)
    assert "X-Injected" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>Sign in</body></html>",
        '{"access_token":"t","token_type":"Bearer"',
        '{"access_token":"t","access_token":"u","token_type":"Bearer"}',
        '{"access_token":"t","token_type":"Bearer","expires_in":NaN}',
        '{"access_token":"t","token_type":"Bearer","expires_in":1e999}',
        "\ufeff{}",
    ],
)
def test_what_is_not_strict_json_is_refused(text):
    assert refused(200, text=text).status == 200


@pytest.mark.parametrize(
    ("status", "error", "transient"),
    [
        (400, "invalid_request", False),
        (400, "invalid_grant", False),
        (400, "invalid_scope", False),
        (400, "invalid_target", False),
        (400, "unauthorized_client", False),
        (400, "unsupported_grant_type", False),
        (400, "use_dpop_nonce", False),
        (401, "invalid_client", False),
        (403, "access_denied", False),
        (429, "slow_down", True),
        (503, "temporarily_unavailable", True),
    ],
)
def test_an_error_keeps_its_code_its_words_and_its_status(status, error, transient):
    body = {"error": error, "error_description": "Ask somebody else."}
    found = refused(status, body, headers={"Retry-After": "7"})
    assert (found.error, found.code, found.description) == (error, error, "Ask somebody else.")
    assert (found.status, found.transient, found.retry_after) == (status, transient, 7.0)
    assert str(found) == f"{error}: Ask somebody else. (tokens.example answered {status})"
    assert found.reason == f"tokens.example answered {status}"


@pytest.mark.parametrize(
    ("status", "text", "transient"),
    [
        (400, "<html>", False),
        (400, '{"error": "<script>"}', False),
        (400, '{"error": ["invalid_scope"], "error_description": {"a": 1}}', False),
        (404, "", False),
        (408, "", True),
        (500, '{"message": "Internal Server Error"}', True),
        (502, "<html>", True),
        (201, json.dumps(granted()), False),
        (204, "", False),
    ],
)
def test_an_error_that_is_none_of_rfc_6749_has_no_code_and_no_words(status, text, transient):
    found = refused(status, text=text)
    assert (found.error, found.description) == ("", "")
    assert (found.status, found.transient, found.retry_after) == (status, transient, None)
    assert str(found) == f"tokens.example answered {status}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain words", "plain words"),
        ("two\r\nlines", "two'lines"),
        ("\x1b[31mred\x1b[0m", "'[31mred'[0m"),
        ('say "x"', "say 'x'"),
        ("ünïcode", "'n'code"),
        ("x" * 5_000, "x" * 300),
        ("  ", ""),
        (7, ""),
    ],
)
def test_the_servers_words_are_shown_only_as_far_as_they_are_harmless(said, shown):
    found = refused(400, {"error": "invalid_request", "error_description": said})
    assert found.description == shown


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize(
    "said",
    [
        "the secret p+ss/w is wrong",
        "the secret p%2Bss%2Fw is wrong",
        "bad header: Basic bmlnaHRseTpwJTJCc3MlMkZ3",
        "bad header: bmlnaHRseTpwJTJCc3MlMkZ3",
        "subject-token has expired",
        "actor-token has expired",
    ],
)
def test_words_that_repeat_a_secret_are_not_shown(said, method):
    us = Credentials(client_id="nightly", client_secret="p+ss/w", method=method)
    endpoint = TokenEndpoint(url="https://t.example/token", credentials=us)
    flow = endpoint.exchange("subject-token", actor_token="actor-token", now=NOW)
    with pytest.raises(TokenError) as caught:
        answered(flow, 400, {"error": "invalid_request", "error_description": said})
    if "header" in said and method == "client_secret_post":
        assert caught.value.description == said  # it was not sent, so it is no secret of ours
    else:
        assert caught.value.description == ""
        assert str(caught.value) == "invalid_request (t.example answered 400)"


def test_what_the_driver_throws_in_comes_out_again():
    flow = HERE.client_credentials(now=NOW)
    next(flow)
    with pytest.raises(RemoteError, match="did not answer"):
        flow.throw(RemoteError("did not answer"))


@pytest.mark.parametrize("issued", [ACCESS_TOKEN, JWT])
def test_an_exchange_may_issue_an_access_token_by_either_name(issued):
    body = granted(issued_token_type=issued)
    assert answered(HERE.exchange("subject", now=NOW), body=body).types == {issued}


def test_an_exchange_may_issue_what_was_requested_or_not_say():
    asked = HERE.exchange("subject", requested_token_type=ID_TOKEN, now=NOW)
    assert answered(asked, body=granted(issued_token_type=ID_TOKEN)).types == {ID_TOKEN}
    assert answered(HERE.exchange("s", now=NOW), body=granted()).types == {ACCESS_TOKEN}


@pytest.mark.parametrize(
    "issued", [ID_TOKEN, "urn:ietf:params:oauth:token-type:refresh_token", "", 7, [ACCESS_TOKEN]]
)
def test_an_exchange_may_issue_nothing_else(issued):
    with pytest.raises(TokenError, match="issued_token_type"):
        answered(HERE.exchange("subject", now=NOW), body=granted(issued_token_type=issued))


def test_an_issuer_is_asked_for_its_endpoint_first():
    endpoint = TokenEndpoint(issuer="https://ims.example", credentials=US)
    flow = endpoint.client_credentials("a", now=NOW)
    request = next(flow)
    assert str(request.url) == "https://ims.example/.well-known/openid-configuration"
    assert "authorization" not in request.headers
    metadata = {"issuer": "https://ims.example", "token_endpoint": "https://ims.example/c/token"}
    request = flow.send(httpx2.Response(200, json=metadata, request=request))
    assert str(request.url) == "https://ims.example/c/token"
    with pytest.raises(StopIteration) as end:
        flow.send(httpx2.Response(200, json=granted("t"), request=request))
    assert str(end.value.value) == "t"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://ims.example"},
        {"issuer": "https://ims.example", "token_endpoint": None},
        {"issuer": "https://ims.example", "token_endpoint": "https://evil.example/token"},
        {"issuer": "https://ims.example", "token_endpoint": "http://ims.example/token"},
        {"issuer": "https://ims.example", "token_endpoint": "http://127.0.0.1/token"},
        {"issuer": "https://ims.example", "token_endpoint": "https://a:b@ims.example/token"},
        {"issuer": "https://ims.example/", "token_endpoint": "https://ims.example/token"},
        {"issuer": "https://evil.example", "token_endpoint": "https://ims.example/token"},
        {"token_endpoint": "https://ims.example/token"},
    ],
)
def test_metadata_cannot_send_our_secret_elsewhere(metadata):
    flow = TokenEndpoint(issuer="https://ims.example", credentials=US).located()
    request = next(flow)
    with pytest.raises(RemoteError):
        flow.send(httpx2.Response(200, json=metadata, request=request))


@pytest.mark.parametrize(
    "address",
    [
        "https://ims.bentley.com/connect/token",
        "https://x.okta.com/oauth2/default/v1/token",
        "https://x.auth0.com/oauth/token",
        "https://sso.example/as/token.oauth2",
        "https://github.com/login/oauth/access_token",
        "https://tokens.example/Token?tenant=1",
    ],
)
def test_an_address_that_ends_in_token_is_the_endpoint_itself(address):
    assert TokenEndpoint.at(address).url == address


@pytest.mark.parametrize(
    "address",
    [
        "https://ims.bentley.com",
        "https://dev-x.us.auth0.com/",
        "https://x.okta.com/oauth2/default",
        "https://tokens.example.com",
        "https://example.com/token/main",
    ],
)
def test_any_other_address_is_an_issuer(address):
    assert TokenEndpoint.at(address).issuer == address


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://tokens.example/token"},
        {"url": "https://id:secret@tokens.example/token"},
        {"issuer": "http://tokens.example"},
        {"issuer": "http://tokens.example", "allow_http": True},
        {"url": "token"},
    ],
)
def test_an_endpoint_is_not_made_of_an_address_that_must_not_be_told(settings):
    with pytest.raises(InsecureURL):
        TokenEndpoint(**settings)


def test_an_endpoint_needs_an_address():
    with pytest.raises(ValueError, match="a url or an issuer"):
        TokenEndpoint()


def test_no_secret_is_in_the_repr_of_an_endpoint():
    assert "hush" not in repr(HERE)
