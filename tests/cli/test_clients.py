"""``tokenward clients``: registering beside a file, and a server that hears of it."""

import asyncio
import json
import re
import sqlite3
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.processes import Served
from tests.dev import command
from tests.docs import examples
from tokenward.clock import now
from tokenward.server.directory import SHELF, Directory
from tokenward.server.keeping import seal
from tokenward.server.settings import load
from tokenward.server.stores import open_store

PAGE = examples("docs/howto/register-clients.md")
FILE = """
store = "sqlite:kept.db"
[issuers.main]
url = "https://tokens.example.com"
[callers.nightly]
proof     = "client_secret"
client_id = "nightly-id"
secrets   = ["sha256:{zeros}"]
[callers.mobile]
proof    = "jwt"
issuer   = "https://dev.example.com/"
audience = "us"
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read", "reports:write"]
"""


@pytest.fixture
def file(here):
    text = FILE.format(zeros="0" * 64) + PAGE["rule"].code
    (here / "tokenward.toml").write_text(text)
    return here / "tokenward.toml"


@pytest.fixture
def clients(file, run):
    """Runs ``tokenward clients …`` in a folder with a configuration; JSON if asked for."""

    def ended(*arguments):
        return run("clients", *arguments)

    return ended


def said(ended):
    assert ended.code == 0, ended.out + ended.err
    return json.loads(ended.out)


def editions(folder):
    with closing(sqlite3.connect(folder / "kept.db")) as db:
        asked = "SELECT key FROM shelf WHERE key LIKE ?"
        return [key.removeprefix(SHELF) for (key,) in db.execute(asked, (f"{SHELF}%",))]


def test_a_client_is_registered_shown_and_forgotten(clients, here):
    added = said(
        clients(
            *("add", "partner", "--scope", "reports:read", "--default", "reports"),
            *("--grant-type", "client_credentials", "--grant-type", "token_exchange"),
            *("--name", "Pärtner", "--contact", "ops@x.example", "--expires", "1d", "--json"),
        )
    )
    assert len(added["secret"]) == 43
    client = added["client"]
    assert said(clients("list", "--json")) == {"ok": True, "clients": [client]}
    assert said(clients("show", "partner", "--json"))["client"] == client
    (secret,) = client.pop("secrets")
    assert added["name"] == secret["name"]
    assert secret["name"] == sha256(added["secret"].encode()).hexdigest()[:8]
    assert secret["expires"] - secret["made"] in range(86_390, 86_401)
    assert abs(client.pop("registered") - time.time()) < 60
    assert client == {
        "id": "partner",
        "client_name": "Pärtner",
        "contact": "ops@x.example",
        "grant_types": [
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "scope": "reports:read",
        "default": "reports",
        "disabled": None,
    }
    assert editions(here) == ["0000000001"]
    assert said(clients("remove", "partner", "--json"))["removed"] == "partner"
    assert said(clients("list", "--json"))["clients"] == []
    assert editions(here) == ["0000000002"]


def test_people_are_told_in_words_and_a_secret_is_shown_once(clients, here):
    nobody = clients("list")
    assert (nobody.code, nobody.out) == (0, "")
    assert "no client is registered" in nobody.err
    added = clients("add", "partner", "--name", "Partner Ltd")
    secret = re.search(r"^client_secret  (\S{43})$", added.out, re.MULTILINE)[1]
    assert "shown this one time" in added.err
    shown = clients("list").out + clients("show", "partner").out
    shown += clients("secrets", "list", "partner").out
    assert "partner  enabled   1 secret   Partner Ltd" in shown
    assert "ends never" in shown
    disabled = clients("disable", "partner")
    assert "partner is disabled" in disabled.out
    shown += clients("list").out
    assert "partner  disabled" in shown
    assert "partner is enabled" in clients("enable", "partner").out
    assert secret not in shown
    for kept in here.iterdir():
        assert secret.encode() not in kept.read_bytes()


def test_secrets_are_added_and_taken_away(clients):
    first = said(clients("add", "partner", "--json"))
    second = said(
        clients("secrets", "add", "partner", "--name", "2027", "--expires", "365d", "--json")
    )
    assert second["name"] == "2027"
    assert second["secret"] != first["secret"]
    listed = said(clients("secrets", "list", "partner", "--json"))["secrets"]
    assert {one["name"] for one in listed} == {"2027", first["name"]}
    left = said(clients("secrets", "remove", "partner", first["name"], "--json"))["client"]
    assert [one["name"] for one in left["secrets"]] == ["2027"]
    none = clients("secrets", "remove", "partner", "2027")
    assert none.code == 0
    assert "no secret left" in none.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "nightly"], "declared in the configuration file, and what stands there wins"),
        (["add", "nightly-id"], "declared in the configuration file"),
        (["add", "mobile"], "declared in the configuration file"),
        (["add", "users"], "a name that rules have for others"),
        (["add", "a|b"], "must be letters"),
        (["add", "known"], "client known is registered already"),
        (["add", "x", "--scope", "reports:raed"], "no token has a scope 'reports:raed'"),
        (["add", "x", "--scope", "ä"], "characters that RFC 6749 does not allow"),
        (["add", "x", "--default", "report"], "there is no token 'report'"),
        (["add", "x", "--grant-type", "implicit"], "there is no such grant type"),
        (["add", "x", "--grant-type", "refresh_token"], "comes with a later version"),
        (["add", "x", "--name", "two\nlines"], "one line"),
        (["show", "unknown"], "no client unknown is registered"),
        (["disable", "nightly"], "no client nightly is registered"),
        (["enable", "unknown"], "no client unknown is registered"),
        (["remove", "unknown"], "no client unknown is registered"),
        (["secrets", "list", "unknown"], "no client unknown is registered"),
        (["secrets", "add", "unknown"], "no client unknown is registered"),
        (["secrets", "add", "known", "--name", "first"], "a secret first already"),
        (["secrets", "remove", "known", "none"], "no secret none"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(clients, here, arguments, reason):
    clients("add", "known", "--json")
    clients("secrets", "add", "known", "--name", "first", "--json")
    refused = clients(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert reason in refused.err
    as_json = clients(*arguments, "--json")
    assert as_json.code == 1
    assert reason in json.loads(as_json.out)["error"]
    assert editions(here) == ["0000000002"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "x", "--expires", "soon"], "--expires: must be a period"),
        (["secrets", "add", "x", "--name", "a b"], "--name: must be letters"),
    ],
)
def test_what_is_not_understood_ends_with_2(clients, arguments, reason):
    refused = clients(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert reason in refused.err


def test_a_store_in_memory_has_no_place_for_clients(clients, file):
    file.write_text(file.read_text().replace("sqlite:kept.db", "memory:"))
    refused = clients("add", "partner")
    assert refused.code == 1
    assert "the store is memory:" in refused.err


def test_a_list_that_was_not_published_is_by_the_next_command(clients, here):
    said(clients("add", "partner", "--json"))
    with closing(sqlite3.connect(here / "kept.db")) as db, db:
        db.execute("DELETE FROM shelf")
    assert editions(here) == []
    said(clients("list", "--json"))
    assert editions(here) == ["0000000001"]


def test_an_encryption_key_that_is_gone_is_replaced_by_the_next_command(clients, here):
    said(clients("add", "partner", "--json"))
    (here / "kept.db.key").unlink()
    assert said(clients("list", "--json"))["clients"][0]["id"] == "partner"
    assert editions(here) == ["0000000001"]


def test_the_list_is_sealed_anew_together_with_the_keys(clients, run, file):
    old, new = "o" * 43, "n" * 42 + "4"
    without = file.read_text()

    def with_keys(*keys):
        file.write_text(f'encryption_key = "{" ".join(keys)}"\n' + without)

    with_keys(old)
    said(clients("add", "partner", "--json"))
    with_keys(new, old)
    assert "Sealed anew: 1." in run("keys", "reseal").out
    assert "Sealed anew: 0." in run("keys", "reseal").out
    with_keys(new)
    settings = load(file, {})
    shown = asyncio.run(published(settings))
    assert [it.id for (it,) in shown] == ["partner"]


async def published(settings):
    """Every edition that a server of these settings sees when it starts."""
    store, shown = open_store(settings.store, now), []
    await store.open()
    key = seal(settings, store)
    await Directory(shelf=store.shelf, seal=lambda: key, show=shown.append).look()
    await store.close()
    return shown


@pytest.mark.parametrize("name", ["register", "secrets", "refuse"])
def test_what_the_page_shows_can_be_done(name, clients):
    if name != "register":
        clients("add", "partner", "--json")
    lines = PAGE[name].code.strip().splitlines()
    for line in lines:
        words = [one.strip('"') for one in re.findall(r'"[^"]*"|\S+', line)]
        assert words[:2] == ["tokenward", "clients"]
        ended = clients(*words[2:])
        assert ended.code == 0, ended.err


def test_a_running_server_hears_of_it_and_loads_no_sql_toolkit(tmp_path):
    served = Served(folder=tmp_path)
    served.write()
    with (tmp_path / "tokenward.toml").open("a") as file:
        file.write(PAGE["rule"].code)
    served.start()
    try:
        added = command("clients", "add", "partner", "--json", cwd=tmp_path).json

        def status():
            return served.ask(client_id="partner", client_secret=added["secret"])[0]

        served.until(lambda: status() == 200)
        assert command("clients", "disable", "partner", cwd=tmp_path).code == 0
        served.until(lambda: status() == 401)
        mapped = Path(f"/proc/{served.pid}/maps").read_text()
        assert "uvloop" in mapped
        assert "sqlalchemy" not in mapped
    finally:
        assert served.stop() == 0


def test_the_sql_toolkit_would_be_seen_in_a_process_that_loads_it():
    import sqlalchemy.engine  # noqa: F401, PLC0415

    assert "sqlalchemy" in Path("/proc/self/maps").read_text()
