"""``tokenward check --live``: what is asked, what it says, and what it keeps to itself."""

import asyncio
import json

import httpx2
import pytest

from tests.dev import command
from tests.hsm import PIN
from tests.running import hashed
from tests.servers import Issuer
from tests.upstream import Upstream, says, token
from tokenward.cli.live import Live
from tokenward.clock import now
from tokenward.jose.keys import SigningKey
from tokenward.remote.fetch import open_async_client
from tokenward.server.keeping import keyring_of
from tokenward.server.settings import load
from tokenward.server.stores import open_store

SECRET = "upstream-secret-" + "u" * 30
FILE = """
issuer = "https://tokens.example.com"
store  = "sqlite:tokenward.db"
[audit]
to = "{audit}"
[callers.mobile]
proof    = "jwt"
issuer   = "{friend}"
audience = "x"
[callers.nightly]
proof   = "client_secret"
secrets = ["{hash}"]
[tokens.reports]
audience = "https://api.example.com"
scopes   = ["reports:read"]
[tokens.itwin]
upstream       = "client_credentials"
token_endpoint = "{upstream}"
client_id      = "service"
client_secret  = "${{ITWIN}}"
scopes         = ["itwin-platform", "other"]
[[allow]]
caller = "nightly"
token  = "reports"
scope  = "reports:read"
[[allow]]
caller = "mobile"
claims = {{ a = "b" }}
token  = "itwin"
scope  = "itwin-platform"
"""


@pytest.fixture
def around(tmp_path):
    with Issuer(SigningKey.generate("ES256")).serving() as friend, Upstream() as upstream:
        upstream.always = token(scope="itwin-platform")

        def write(**changed):
            said = {
                "audit": tmp_path / "audit.jsonl",
                "friend": friend.url,
                "upstream": upstream.token_endpoint,
                "hash": hashed(SECRET),
            }
            (tmp_path / "tokenward.toml").write_text(FILE.format(**said | changed))

        write()
        yield tmp_path, friend, upstream, write


def check(folder, *arguments):
    done = command("check", "--live", *arguments, cwd=folder, environ={"ITWIN": SECRET})
    assert SECRET not in done.out + done.err
    return done


def test_all_is_well(around):
    folder, _, upstream, _ = around
    done = check(folder)
    assert done.code == 0, done.out + done.err
    for line in (
        "ok     store           is not there yet, and will be made",
        "ok     callers.mobile  1 key of http://127.0.0.1:",
        "ok     tokens.itwin    gave a token for ",
    ):
        assert line in done.out
    [asked] = upstream.questions
    assert asked.form["scope"] == "itwin-platform"
    assert "theirs-" not in done.out
    assert not (folder / "tokenward.db").exists()


def test_for_programs_it_is_json(around):
    folder, *_ = around
    said = json.loads(check(folder, "--json").out)
    assert said["ok"] is True
    assert {one["part"] for one in said["live"]} == {
        "store",
        "audit",
        "callers.mobile",
        "tokens.itwin",
    }


def test_without_being_asked_it_asks_nobody(around):
    folder, _, upstream, _ = around
    done = command("check", cwd=folder, environ={"ITWIN": SECRET})
    assert done.code == 0
    assert upstream.questions == []


@pytest.mark.parametrize(
    ("behaviour", "said", "hint"),
    [
        (
            says(401, '{"error": "invalid_client", "error_description": "boo!"}'),
            "invalid_client",
            "still the right one",
        ),
        (says(400, '{"error": "invalid_scope"}'), "invalid_scope", "may we have them"),
        (says(500, "<h1>boo!</h1>"), "500", ""),
        (says(200, "boo!"), "200", ""),
        (says(302, Location="http://127.0.0.1:1/"), "302", ""),
    ],
)
def test_an_upstream_that_gives_nothing_is_named_in_our_words(around, behaviour, said, hint):
    folder, _, upstream, _ = around
    upstream.always = behaviour
    done = check(folder)
    assert done.code == 1
    [line] = [line for line in done.out.splitlines() if "tokens.itwin" in line]
    assert line.strip().startswith("failed")
    assert said in line
    assert hint in done.out
    assert "boo!" not in done.out + done.err
    assert "1 of 4 would not do" in done.err


def test_an_issuer_that_does_not_answer_is_named(around):
    folder, _, _, write = around
    write(friend="http://127.0.0.1:1/")
    done = check(folder)
    assert done.code == 1
    assert "failed callers.mobile" in done.out
    assert "cannot be believed" in done.out


def test_a_trail_that_cannot_be_written_is_named(around):
    folder, _, _, write = around
    write(audit=folder / "nowhere" / "audit.jsonl")
    done = check(folder)
    assert done.code == 1
    assert "failed audit" in done.out


def test_a_store_that_is_no_store_is_named(around):
    folder, *_ = around
    (folder / "tokenward.db").write_text("this is no database" * 100)
    done = check(folder)
    assert done.code == 1
    assert "failed store" in done.out


def test_a_mistake_in_the_file_comes_first(around):
    folder, _, upstream, _ = around
    file = folder / "tokenward.toml"
    file.write_text(file.read_text().replace('token  = "itwin"', 'token  = "itwni"'))
    done = check(folder)
    assert done.code == 78
    assert upstream.questions == []


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("Sat, 01 Jan 2000 00:00:00 GMT", "ahead of the others'"),
        ("Fri, 31 Dec 2100 00:00:00 GMT", "behind the others'"),
        ("", ""),
        ("yesterday", ""),
    ],
)
async def test_a_clock_that_is_off_is_said(tmp_path, date, said):
    file = tmp_path / "tokenward.toml"
    file.write_text('store = "memory:"\n')
    async with httpx2.AsyncClient() as http:
        live = Live(load(file, {}), http)
        await live.heard(httpx2.Response(200, headers={"date": date}))
        found = {one.part: one for one in await live.ask()}
    assert ("clock" in found) is bool(said)
    assert said in (found["clock"].said if said else "")


HELD = """
store = "sqlite:kept.db"
[issuers.main]
url = "https://tokens.example.com"
[issuers.main.keys]
signer = "pkcs11"
module = "{module}"
token  = "{token}"
pin    = "${{HSM_PIN}}"
"""


def test_a_module_that_does_not_sign_is_named(tmp_path, softhsm):
    file = tmp_path / "tokenward.toml"
    file.write_text(HELD.format(module=softhsm.module, token=softhsm.token()))

    async def first_start():
        settings = load(file, {"HSM_PIN": PIN})
        store = open_store(f"sqlite:{tmp_path}/kept.db", now)
        await store.open()
        rings = keyring_of(settings, store, now)
        await rings.ring("main", "ES256")
        rings.close()
        await store.close()

    def said(pin):
        done = command("check", "--live", cwd=tmp_path, environ={"HSM_PIN": pin, **softhsm.environ})
        return done.code, done.out

    assert "issuers.main  has no key yet" in said(PIN)[1]
    asyncio.run(first_start())
    code, out = said(PIN)
    assert (code, "issuers.main  its key signs" in out) == (0, True)
    code, out = said("wrong" + PIN)
    assert (code, "failed issuers.main  PKCS #11" in out) == (1, True)
    assert "refuses the PIN" in out


ASKED = """
[callers.partner]
proof         = "introspection"
issuer        = "https://idp.example.com"
introspection_endpoint = "{upstream}"
client_id     = "us"
client_secret = "${{ITWIN}}"
audience      = "x"
token_prefix  = "ptn_"
"""


@pytest.mark.parametrize(
    ("behaviour", "good", "said"),
    [
        (says(200, '{"active": false}'), True, "tells good tokens from others"),
        (says(200, '{"active": true}'), False, "calls a token good that nobody was given"),
        (says(200, "{}"), False, "does not say whether the token is active"),
        (says(401, ""), False, "answered 401"),
    ],
)
async def test_an_issuer_of_opaque_tokens_is_asked_about_one_that_nobody_has(
    around, behaviour, good, said
):
    folder, _, upstream, _ = around
    path = folder / "tokenward.toml"
    path.write_text(path.read_text() + ASKED.format(upstream=upstream.token_endpoint))
    upstream.always = behaviour
    settings = load(path, {"ITWIN": SECRET})
    async with open_async_client() as http:
        found = {one.part: one for one in await Live(settings, http).ask()}["callers.partner"]
    assert (found.good, said in found.said) == (good, True), found
    assert "ptn_check" in [one.form.get("token") for one in upstream.questions]
