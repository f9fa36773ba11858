"""Settings that the program does not give: completed from the environment, never mixed up."""

import pytest

from tokenward.client import ANONYMOUS
from tokenward.client.environment import token_endpoint

ENVIRON = {
    "TOKENWARD_ISSUER": "https://tokens.example",
    "TOKENWARD_CLIENT_ID": "nightly",
    "TOKENWARD_CLIENT_SECRET": "hush",
}


def found(address="", id="", secret="", *, environ=ENVIRON, **more):
    endpoint = token_endpoint(address, id, secret, environ=environ, **more)
    credentials = endpoint.credentials
    return endpoint.issuer or endpoint.url, credentials.client_id, credentials.client_secret


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ("https://tokens.example", "nightly", "hush")),
        (("https://tokens.example",), ("https://tokens.example", "nightly", "hush")),
        (("", "nightly"), ("https://tokens.example", "nightly", "hush")),
        (("", "", "other"), ("https://tokens.example", "nightly", "other")),
        (("", "x", "y"), ("https://tokens.example", "x", "y")),
        (("https://i.example", "x", "y"), ("https://i.example", "x", "y")),
    ],
)
def test_what_is_not_given_comes_from_the_environment(given, expected):
    assert found(*given) == expected


def test_an_environment_without_issuer_completes_any():
    environ = {name: it for name, it in ENVIRON.items() if name != "TOKENWARD_ISSUER"}
    assert found("https://i.example", environ=environ) == ("https://i.example", "nightly", "hush")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (("https://i.example",), "client_id"),
        (("https://i.example", "nightly"), "client_secret"),
        (("https://tokens.example/",), "client_id"),
        (("https://tokens.example.evil.example",), "client_id"),
    ],
)
def test_another_issuer_is_never_told_the_environments_client_or_secret(given, missing):
    with pytest.raises(ValueError, match=f"no {missing}.*of another issuer") as caught:
        found(*given)
    assert "hush" not in str(caught.value)
    assert found(*given, needs_client=False)[2] == ""


def test_another_client_is_never_given_the_environments_secret():
    with pytest.raises(ValueError, match="no client_secret"):
        found("", "other")
    assert found("", "other", needs_client=False) == ("https://tokens.example", "other", "")


def test_a_public_client_is_not_given_a_secret_either():
    assert found("", "nightly", method="none", needs_client=False)[2] == ""


def test_without_any_client_whoever_exchanges_is_anonymous():
    endpoint = token_endpoint("https://i.example", "", "", needs_client=False, environ={})
    assert endpoint.credentials == ANONYMOUS


def test_a_secret_without_a_client_is_a_mistake():
    with pytest.raises(ValueError, match="client_id"):
        token_endpoint("https://i.example", "", "hush", needs_client=False, environ={})


def test_without_an_issuer_there_is_nobody_to_ask():
    with pytest.raises(ValueError, match="TOKENWARD_ISSUER"):
        token_endpoint("", "x", "y", environ={})
