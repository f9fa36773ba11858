"""``tokenward connections``: what a person has connected, beside a server, and its end."""

import json

import pytest

from tests.agreeing import CLIENT
from tests.docs import examples
from tests.server.connections.somebody import PHOTOS_SECRET
from tests.server.connections.test_howto import browse, config_of
from tests.server.connections.there import there
from tests.world import UPSTREAM_SECRET, hashed
from tokenward import Accounts, TokenError, get_token

ANN = "people|ann"


@pytest.fixture
def running(here):
    (here / ".env.local").write_text(
        f"PHOTOS_HASH={hashed(PHOTOS_SECRET)}\n"
        f"GOOGLE_CLIENT_ID={CLIENT}\nGOOGLE_CLIENT_SECRET={UPSTREAM_SECRET}\n"
    )
    with there(here, config_of(here)) as running:
        yield running


def said(ended):
    assert ended.code == 0, ended.out + ended.err
    return json.loads(ended.out)


def test_what_somebody_has_connected_is_listed_and_ended_without_any_secret(running, run):
    assert said(run("connections", "list", ANN, "--json")) == {"ok": True, "connections": []}
    assert "they have connected nothing" in run("connections", "list", ANN).out
    accounts = Accounts(running.url, "photos", PHOTOS_SECRET)
    token = running.token("ann")
    told = browse(running, accounts.connect_url("drive", subject_token=token))
    made = accounts.complete(told["connection_code"], subject_token=token)
    [row] = said(run("connections", "list", ANN, "--json"))["connections"]
    assert row == {
        "token": "drive",
        "app": "photos",
        "scope": made.scope,
        "since": made.connected_at,
        "status": "connected",
    }
    shown = run("connections", "list", ANN).out
    assert "photos" in shown
    assert "connected" in shown
    [lasting] = running.drive.grants
    assert lasting not in shown
    assert said(run("connections", "list", "people|bob", "--json"))["connections"] == []
    assert said(run("connections", "remove", "people|bob", "--json"))["removed"] == []
    assert accounts.connections(subject_token=token) == [made]

    [gone] = said(run("connections", "remove", ANN, "drive", "--json"))["removed"]
    assert gone == row | {"status": "revoked"}
    assert running.drive.revoked == [lasting]
    assert accounts.connections(subject_token=token) == []
    with pytest.raises(TokenError) as caught:
        get_token(running.url, "photos", PHOTOS_SECRET, subject_token=token, audience="drive")
    assert caught.value.error == "interaction_required"
    assert "there was nothing to remove" in run("connections", "remove", ANN).out


def test_a_token_that_there_is_not_is_told(running, run):
    ended = run("connections", "remove", ANN, "nothing", "--json")
    assert ended.code == 1
    assert said_of(ended)["ok"] is False


def said_of(ended):
    return json.loads(ended.out)


def test_a_store_that_forgets_has_none_to_list(here, run):
    text = examples("docs/howto/connect-accounts.md")["config"].code
    (here / "tokenward.toml").write_text(
        text.replace("sqlite:///var/lib/tokenward/t.db", "memory:")
    )
    (here / ".env.local").write_text(
        f"PHOTOS_HASH={hashed(PHOTOS_SECRET)}\nGOOGLE_CLIENT_ID=u\nGOOGLE_CLIENT_SECRET=s\n"
    )
    ended = run("connections", "list", ANN)
    assert ended.code == 1
    assert "the store is memory:" in ended.err
