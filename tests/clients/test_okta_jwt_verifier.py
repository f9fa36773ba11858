"""npm's @okta/jwt-verifier against an issuer in the dialect of an Okta authorization server."""

import time

import pytest

from tests.clients.served import ORDERS, SERVICE, TEST_CLIENT, tampered


@pytest.fixture(scope="module")
def token(tokenward):
    endpoint = f"{tokenward.issuer('oauth2/orders')}/v1/token"
    return tokenward.token(TEST_CLIENT, endpoint, audience=ORDERS, scope="such_scope")


@pytest.fixture
def verified(node, tokenward, token):
    """What the verifier says, by name; what is not said is as it should be."""

    def ask(**cases):
        right = {"token": token, "issuer": tokenward.issuer("oauth2/orders"), "audience": ORDERS}
        return node.ask("okta.mjs", **{name: right | case for name, case in cases.items()})

    return ask


def test_the_verifier_believes_our_token(verified, tokenward):
    said = verified(
        plain={},
        audiences={"audience": ["api://elsewhere", ORDERS]},
        asserted={"assertClaims": {"cid": TEST_CLIENT[0], "scp.includes": "such_scope", "ver": 1}},
    )
    assert [it.get("error") for it in said.values()] == [None, None, None]
    claims = said["plain"]["value"]
    assert (claims["iss"], claims["aud"]) == (tokenward.issuer("oauth2/orders"), ORDERS)
    assert (claims["cid"], claims["sub"]) == (TEST_CLIENT[0], TEST_CLIENT[0])
    assert (claims["scp"], claims["ver"]) == (["such_scope"], 1)
    assert claims["jti"].startswith("AT.")
    assert "uid" not in claims


def test_the_verifier_refuses_all_others(verified, tokenward, token):
    orders, now = tokenward.issuer("oauth2/orders"), int(time.time())

    def signed(issuer="orders", **claims):
        return tokenward.signed(issuer, token, **claims)

    other_api = tokenward.token(TEST_CLIENT, f"{orders}/v1/token", audience="returns")
    other_issuer = tokenward.token(SERVICE, f"{tokenward.issuer('ims')}/connect/token")
    cases = {
        "another audience": ({"audience": "api://elsewhere"}, "does not match expected audience"),
        "other audiences": ({"audience": [f"{ORDERS}/", "api"]}, "does not match one of"),
        "a token for another API": ({"token": other_api}, "does not match expected audience"),
        "another claim": ({"assertClaims": {"cid": "cid"}}, "claim 'cid' value '0oaTestClient'"),
        "more scope": ({"assertClaims": {"scp.includes": ["more"]}}, "value 'more'"),
        "tampered": ({"token": tampered(token, cid="cid")}, "Signature verification failed"),
        "forged": ({"token": tokenward.forged("orders", token)}, "Signature verification failed"),
        "expired": ({"token": signed(iat=now - 3600, exp=now - 60)}, "Jwt is expired"),
        "another iss": ({"token": signed(iss=f"{orders}/")}, "does not match expected issuer"),
        "another issuer": ({"token": other_issuer}, "Error while resolving signing key"),
        "another issuer's key": ({"token": signed("ims")}, "Error while resolving signing key"),
        "elsewhere": ({"issuer": f"{orders}/"}, "Error while resolving signing key"),
    }
    said = verified(**{name: change for name, (change, _) in cases.items()})
    assert [name for name, (_, words) in cases.items() if words not in said[name]["error"]] == []


def test_no_more_keys_are_published_than_the_verifier_remembers(tokenward):
    with tokenward.server.http() as http:
        keys = http.get(f"{tokenward.issuer('oauth2/orders')}/v1/keys").json()["keys"]
    assert 1 <= len(keys) <= 3
    assert {(key["kty"], key["alg"], key["use"]) for key in keys} == {("RSA", "RS256", "sig")}
    assert all(key["kid"] and key["x5c"] for key in keys)
