"""Tokens of ours: who may ask about them, who may give them back (RFC 7662, RFC 7009)."""

import pytest

from tests.attacks.lab import API, LAZY, NIGHTLY, claims_of
from tests.world import SECRET

TOKEN_PATHS = {
    "reports": ("/token", "/introspect", "/revoke"),
    "models": ("/ims/connect/token", "/ims/connect/introspect", "/ims/connect/revocation"),
    "orders": (
        "/oauth2/orders/v1/token",
        "/oauth2/orders/v1/introspect",
        "/oauth2/orders/v1/revoke",
    ),
}


def mint(server, name="reports"):
    return server.post(TOKEN_PATHS[name][0], f"grant_type=client_credentials&audience={name}").token


@pytest.mark.parametrize("name", TOKEN_PATHS)
@pytest.mark.parametrize("elsewhere", TOKEN_PATHS)
def test_a_token_is_known_and_revoked_at_its_own_issuer_only(server, name, elsewhere):
    token, (_, introspect, revoke) = mint(server, name), TOKEN_PATHS[elsewhere]
    here = name == elsewhere
    assert server.introspect(token, path=introspect).json["active"] is here
    assert server.revoke(token, path=revoke).status == 200
    still = server.introspect(token, path=TOKEN_PATHS[name][1]).json
    assert still["active"] is not here


@pytest.mark.parametrize("name", TOKEN_PATHS)
@pytest.mark.parametrize("elsewhere", TOKEN_PATHS)
def test_a_token_is_minted_at_its_own_issuer_only(server, name, elsewhere):
    form = f"grant_type=client_credentials&audience={name}"
    answer = server.post(TOKEN_PATHS[elsewhere][0], form)
    assert answer.status == (200 if name == elsewhere else 400)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it + " ",
        lambda it: " " + it,
        lambda it: it + ".",
        lambda it: it + "=",
        lambda it: it[:-1],
        lambda it: it.upper(),
        lambda _: "x",
        lambda _: "theirs-1",
    ],
)
def test_what_is_nearly_a_token_is_inactive_and_says_nothing_else(server, change):
    assert server.introspect(change(mint(server))).body == b'{"active":false}'


def test_a_foreign_token_is_inactive(lab, server):
    assert server.introspect(lab.user_token()).body == b'{"active":false}'


def test_only_introspectors_hear_about_a_token(server):
    token = mint(server)
    for stranger in (NIGHTLY, LAZY):
        assert server.introspect(token, stranger).body == b'{"active":false}'
    assert server.introspect(token, (API[0], "wrong")).error == (401, "invalid_client")
    assert server.introspect(token, None).error == (401, "invalid_client")
    public = server.post("/introspect", f"token={token}&client_id=browser", None)
    assert public.error == (401, "invalid_client")
    bearer = ("Authorization", f"Bearer {token}")
    assert server.post("/introspect", f"token={token}", None, bearer).error[0] == 401


def test_introspection_says_what_the_token_says(server):
    token = mint(server)
    said = server.introspect(token).json
    assert said.items() >= claims_of(token).items()
    assert (said["active"], said["token_type"]) == (True, "Bearer")


@pytest.mark.parametrize("form", ["", "token=", "x=y", "token_type_hint=access_token"])
@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_a_token_must_be_named(server, path, form):
    assert server.post(path, form, API).error == (400, "invalid_request")
    assert server.post(path, f"{form}&token=a&token=a", API).error == (400, "invalid_request")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_a_hint_is_a_hint(server, hint):
    token = mint(server)
    form = f"token={token}&token_type_hint={hint}"
    assert server.post("/introspect", form, API).json["active"]
    assert server.post("/revoke", form).status == 200
    assert not server.live(token)


def test_a_token_is_given_back_by_the_client_it_was_given_to(server):
    token = mint(server)
    assert server.revoke(token, LAZY).status == 400
    assert server.revoke(token, API).status == 400
    assert server.revoke(token, None).error == (401, "invalid_client")
    assert server.revoke(token, ("nightly", SECRET[:-1])).error == (401, "invalid_client")
    assert server.post("/revoke", f"token={token}&client_id=browser", None).status == 400
    assert server.post("/revoke", f"token={token}&client_id=nightly", None).status == 401
    assert server.live(token)
    assert [server.revoke(token).status for _ in range(2)] == [200, 200]
    assert not server.live(token)


@pytest.mark.parametrize("token", ["x", "a.b.c", "a" * 60_000, "%"])
def test_a_token_nobody_knows_is_given_back_too(server, token):
    assert server.revoke(token).status == 200
