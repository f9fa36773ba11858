"""npm's @itwin/service-authorization against an issuer in the dialect of Bentley's IMS."""

import time

import pytest

from tests.clients.served import AWKWARD, MODELS, NIGHTLY, SERVICE, claims_of, tampered


@pytest.fixture
def service(node, tokenward):
    """Gets a token as a service; what came of it."""

    def ask(credentials, *, scope="itwin-platform", issuer="ims", headers=None):
        id, secret = credentials
        said = node.ask(
            "itwin-token.mjs",
            configuration={
                "clientId": id,
                "clientSecret": secret,
                "scope": scope,
                "authority": tokenward.issuer(issuer),
            },
            headers=headers or {},
        )
        tokenward.server.ledger.tokens("a token of a service", said)
        return said

    return ask


@pytest.mark.parametrize("scope", ["itwin-platform", "itwin-platform itwins:read"])
def test_a_service_gets_a_token_and_keeps_it(service, tokenward, scope):
    said = service(SERVICE, scope=scope)
    assert said["again"] == said["value"]
    assert (said["authorized"], said["expired"]) == (True, False)

    kind, token = said["value"].split(" ")
    claims = claims_of(token)
    assert kind == "Bearer"
    assert (claims["iss"], claims["aud"]) == (tokenward.issuer("ims"), MODELS)
    assert (claims["client_id"], claims["scope"]) == (SERVICE[0], scope.split())
    assert "sub" not in claims


def test_an_id_and_a_secret_that_need_encoding(service):
    """The package writes the first blank of both as ``+`` and all others as ``%20``."""
    assert claims_of(service(AWKWARD)["value"].split(" ")[1])["client_id"] == AWKWARD[0]


def test_more_headers_do_no_harm(service):
    more = {"X-Correlation-Id": "4711", "Accept": "application/json;odata=verbose"}
    assert service(SERVICE, headers=more)["authorized"]


@pytest.mark.parametrize(
    ("credentials", "scope", "status"),
    [
        ((SERVICE[0], "wrong"), "itwin-platform", 401),
        (("nobody", SERVICE[1]), "itwin-platform", 401),
        (SERVICE, "itwin-platform everything", 400),
        (SERVICE, "openid", 0),
    ],
)
def test_no_token_for_the_wrong_secret_or_scope(service, credentials, scope, status):
    """It never asks for ``openid``; what the server would say is in the story of the service."""
    said = service(credentials, scope=scope)
    assert "value" not in said
    assert not said["authorized"]
    assert f"code {status}" in said["error"] if status else "cannot include" in said["error"]


def test_introspection_tells_our_tokens_from_all_others(node, service, tokenward):
    token = service(SERVICE)["value"].split(" ")[1]
    now = int(time.time())
    other = tokenward.token(SERVICE, f"{tokenward.issuer('other')}/connect/token")
    main = tokenward.token(NIGHTLY, f"{tokenward.issuer()}/token", audience="reports")
    said = node.ask(
        "itwin-introspection.mjs",
        issuer=tokenward.issuer("ims"),
        tokens={
            "ours": token,
            "expired": tokenward.signed("ims", token, iat=now - 3600, exp=now - 60),
            "forged": tokenward.forged("ims", token),
            "tampered": tampered(token, scope=["everything"]),
            "another issuer's": other,
            "another profile's": main,
        },
    )

    ours = said.pop("ours")["value"]
    assert (ours["active"], ours["scope"]) == (True, "itwin-platform")
    assert ours["client_id"] == SERVICE[0]
    assert now < ours["exp"] <= now + 900 + 60

    assert {name: it["value"]["active"] for name, it in said.items() if "value" in it} == {
        "expired": False,
        "forged": False,
        "tampered": False,
    }
    assert "Unable to find a signing key" in said["another issuer's"]["error"]
    assert said["another profile's"]["error"] == "Invalid scope"
