"""Metadata: every issuer says what it can do, at every place where clients look (RFC 8414)."""

import pytest

ISSUERS = {
    "https://tokens.example.com": "",
    "https://tokens.example.com/ims": "/ims",
    "https://tokens.example.com/oauth2/orders": "/oauth2/orders",
}
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "introspection_endpoint",
    "revocation_endpoint",
)


@pytest.mark.parametrize(("issuer", "path"), ISSUERS.items())
@pytest.mark.parametrize("kind", ["oauth-authorization-server", "openid-configuration"])
@pytest.mark.parametrize("form", ["{path}/.well-known/{kind}", "/.well-known/{kind}{path}"])
async def test_3_both_documents_are_at_both_places(world, issuer, path, kind, form):
    answer = await world.http.get(form.format(path=path, kind=kind))
    said = answer.json()

    assert said["issuer"] == issuer
    assert all(said[name].startswith(issuer + "/") for name in ENDPOINTS)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "max-age" in answer.headers["cache-control"]
    assert None not in said.values()
    assert [] not in said.values()
    assert "authorization_code" not in said["grant_types_supported"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "tokens.example.com.evil"])
async def test_urls_never_come_from_the_host_header(world, host):
    answer = await world.http.get(
        "/.well-known/openid-configuration", headers={"Host": host, "X-Forwarded-Host": host}
    )
    assert "evil" not in answer.text


@pytest.mark.parametrize(("issuer", "path"), ISSUERS.items())
async def test_every_endpoint_that_is_named_answers(world, issuer, path):
    said = (await world.http.get(f"{path}/.well-known/openid-configuration")).json()
    assert (await world.http.get(said["jwks_uri"])).json()["keys"]
    assert (await world.http.get(said["authorization_endpoint"])).status_code == 501
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        assert (await world.http.post(said[name])).status_code in (400, 401)


async def test_what_is_known_already_is_not_sent_again(world):
    for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration"):
        first = await world.http.get(path)
        tag = first.headers["etag"]
        again = await world.http.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content) == (304, b"")
        other = await world.http.get(path, headers={"If-None-Match": '"other"'})
        assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/openid-configuration/nothing",
        "/nothing/.well-known/openid-configuration",
        "/.well-known/openid-configuration/ims/",
        "/.well-known/OPENID-configuration",
        "/ims",
        "/",
    ],
)
async def test_there_is_nothing_elsewhere(world, path):
    assert (await world.http.get(path)).status_code == 404
