"""The documents: every link leads somewhere, every list is complete, every example has its test."""

import asyncio
import json
import re
import subprocess

import httpx2
import psycopg
import pytest
import typer.main

from tests import databases, reference
from tests.cli import reference as commands
from tests.dev import command
from tests.docs import ROOT, examples
from tests.pasting import unmarked
from tokenward.cli.commands import app
from tokenward.clock import now
from tokenward.jose.keys import SigningKey
from tokenward.server.doors import paths
from tokenward.server.settings import load
from tokenward.server.stores import open_store

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_CODE = re.compile(r"^(`{3,}).*?^\1$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<to>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


def anchors(page):
    """Where links may lead inside a page, as its headings are named on the web."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = set()
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def links(page):
    return _LINK.findall(_CODE.sub("", page.read_text("utf-8")))


def test_there_are_documents():
    assert {"README.md", "docs/tutorial.md", "docs/rfc.md", "docs/reference/cli.md"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name):
    page = ROOT / name
    dead = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_a_dead_link_would_be_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two` (three)\n[a](#one-two-three) [b](no.md#x)\n```\n[c](d)\n# no\n```\n"
    )
    assert links(page) == ["#one-two-three", "no.md#x"]
    assert anchors(page) == {"one-two-three"}


def test_every_document_can_be_reached_from_the_readme():
    reached, to_read = set(), [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists():
                to_read.append(target)
    lost = {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached
    assert lost - {ROOT / "docs" / "README.md"} == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_page_shows_two_versions_of_itself(name):
    page = (ROOT / name).read_text("utf-8")
    assert re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", page, re.MULTILINE) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_line_of_prose_is_wider_than_a_screen(name):
    text = _CODE.sub(lambda code: "x" * len(code[0]), (ROOT / name).read_text("utf-8"))
    generated = re.sub(r"<!-- (\w+: [\w. -]+|\w+) -->.*?<!-- end -->", "", text, flags=re.DOTALL)
    wide = [line for line in generated.splitlines() if len(line) > 120 and "|" not in line]
    assert [line for line in wide if not line.startswith(("<", "x"))] == []


# ── what is made of the source is up to date ─────────────────────────────────────────────────────


def test_the_reference_of_commands_has_every_command():
    page = commands.PAGE.read_text("utf-8")
    names = typer.main.get_command(app).commands
    assert set(re.findall(r"^<!-- command: ([\w-]+) -->$", page, re.MULTILINE)) == set(names)
    assert "`None`" not in page


def test_the_reference_of_commands_is_made_of_the_commands():
    page = commands.PAGE.read_text("utf-8")
    assert commands.written(page) == page, "run: python -m tests.cli.reference"


def test_the_references_of_errors_and_endpoints_are_made_of_the_source():
    for path, text in reference.written().items():
        assert path.read_text("utf-8") == text, "run: python -m tests.reference"


def test_every_status_that_the_server_itself_answers_is_in_the_reference():
    page = reference.ERRORS.read_text("utf-8")
    said = (ROOT / "src/tokenward/server/bounds.py").read_text("utf-8")
    statuses = re.findall(r"^    (\d{3}): \(", said, re.MULTILINE)
    assert len(statuses) >= 6
    rows = " ".join(line for line in page.splitlines() if line.startswith("|"))
    assert [status for status in statuses if not re.search(rf"\b{status}\b", rows)] == []


def test_every_path_of_a_server_is_in_the_reference(tmp_path):
    (tmp_path / "tokenward.toml").write_text(
        "".join(
            f'[issuers.{name}]\nurl = "https://x.example.com/{name}"\nprofile = "{name}"\n'
            for name in ("rfc9068", "ims", "okta")
        )
    )
    known = paths(load(tmp_path / "tokenward.toml", {}))
    page = reference.ENDPOINTS.read_text("utf-8")
    bare = {re.sub(r"/(rfc9068|ims|okta)(?=/|$)", "", path) for path in known}
    assert [path for path in bare if f"`{path}`" not in page] == []


def test_every_profile_and_grant_type_is_in_the_reference_of_rfcs_or_words():
    words = (ROOT / "docs/explanation/glossary.md").read_text("utf-8")
    for name in ("rfc9068", "ims", "okta", "client_secret", "none", "jwt"):
        assert f"`{name}`" in words


def test_every_rfc_that_has_tests_is_told_of():
    page = (ROOT / "docs/rfc.md").read_text("utf-8")
    tested = [path.stem.removeprefix("test_") for path in (ROOT / "tests/rfc").glob("test_*.py")]
    assert len(tested) > 8
    assert [number for number in tested if f"RFC {number}" not in page] == []


def test_every_rfc_that_the_source_speaks_of_is_told_of():
    page = (ROOT / "docs/rfc.md").read_text("utf-8")
    elsewhere = {
        *("3986", "4648", "6454", "7493", "8259", "9112"),  # how things are written
        *("5280", "8017", "8032", "6455", "6819"),  # certificates, mathematics, sockets, words
        *("7516", "7797", "9864"),  # what is refused, or renamed
    }
    spoken = {
        number
        for path in (ROOT / "src").rglob("*.py")
        for number in re.findall(r"RFC (\d{4})", path.read_text("utf-8"))
    }
    assert {it for it in spoken if f"RFC {it}" not in page} - elsewhere == set()


def test_every_word_is_explained_once_and_in_order():
    page = (ROOT / "docs/explanation/glossary.md").read_text("utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\*", page, re.MULTILINE)
    assert len(words) > 30
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words))


def test_the_steps_of_a_token_name_files_that_are_there():
    page = (ROOT / "docs/explanation/how-a-token-is-issued.md").read_text("utf-8")
    files = re.findall(r"`((?:server|oauth|jose|verifier)/[\w./]*)`", page)
    assert len(files) > 12
    assert [it for it in files if not (ROOT / "src/tokenward" / it).exists()] == []
    assert re.findall(r"^(\d)\. \*\*", page, re.MULTILINE) == list("1234567")


def test_the_changelog_begins_with_security():
    page = (ROOT / "CHANGELOG.md").read_text("utf-8")
    unreleased = page.partition("## [Unreleased]")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)", unreleased, re.MULTILINE)[0] == "Security"
    assert not re.search(r"^### \w+\n+(?=###|\Z)", unreleased, re.MULTILINE), "an empty section"


# ── how to trust another issuer ──────────────────────────────────────────────────────────────────

TRUST = "docs/howto/trust-another-issuer.md"
REPORTS = """
issuer = "https://tokens.example.com"
store  = "sqlite:tokenward.db"
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read", "reports:write"]
"""
RULE = '[[allow]]\ncaller = "{}"\ntoken = "reports"\nscope = "reports:read"\nclaims = {{ x = 1 }}\n'


@pytest.mark.parametrize("name", list(examples(TRUST)))
def test_each_issuer_that_is_trusted_would_do(name, tmp_path):
    code = examples(TRUST)[name].code
    (caller,) = re.findall(r"\[callers\.(\w+)\]", code)
    rule = "" if "[[allow]]" in code else RULE.format(caller)
    (tmp_path / "tokenward.toml").write_text(REPORTS + code + rule)
    key = SigningKey.generate("ES256")
    environ = {"ROBOT_PUBLIC_KEY": json.dumps(key.public_jwk()), "PARTNER_SECRET": "s" * 40}
    checked = command("check", "--json", cwd=tmp_path, environ=environ)
    assert (checked.code, checked.json.get("warnings")) == (0, []), checked.out


def test_that_page_shows_nothing_else():
    assert unmarked(TRUST) == []


@pytest.mark.parametrize(
    ("rule", "claims", "holds"),
    [
        ('{ role = "editor" }', {"role": "editor"}, True),
        ('{ role = "editor" }', {"role": ["x", "editor"]}, True),
        ('{ role = "editor" }', {}, False),
        ('{ role = ["editor", "admin"] }', {"role": "admin"}, True),
        ('{ role = ["editor", "admin"] }', {"role": "other"}, False),
        ('{ ref = "refs/heads/*" }', {"ref": "refs/heads/main"}, True),
        ('{ ref = "refs/heads/*" }', {"ref": "refs/heads/a/b"}, False),
        ('{ sub = "repo:acme/**" }', {"sub": "repo:acme/app:ref:refs/heads/main"}, True),
        ('{ "realm.roles" = "x" }', {"realm": {"roles": ["x"]}}, True),
        ("{ email_verified = true }", {"email_verified": True}, True),
        ("{ email_verified = true }", {"email_verified": "true"}, False),
        ("{ email_verified = true }", {"email_verified": 1}, False),
    ],
)
def test_claims_fit_as_that_page_says(rule, claims, holds, tmp_path):
    page = (ROOT / TRUST).read_text("utf-8")
    assert f"`{rule}`" in page
    (tmp_path / "tokenward.toml").write_text(
        REPORTS
        + '[callers.staff]\nproof = "jwt"\nissuer = "https://x.example.com"\naudience = "us"\n'
        + f'[[allow]]\ncaller = "staff"\ntoken = "reports"\nscope = "*"\nclaims = {rule}\n'
    )
    said = command("explain", "staff", "--claims", json.dumps(claims), cwd=tmp_path)
    assert said.code == (0 if holds else 1)


# ── how to let people in by their keys ───────────────────────────────────────────────────────────

KEYS = "docs/howto/let-keys-in.md"


@pytest.mark.parametrize("name", ["file", "anybody"])
def test_each_caller_with_a_key_of_that_page_would_do(name, tmp_path):
    (tmp_path / "tokenward.toml").write_text(REPORTS + examples(KEYS)[name].code)
    checked = command("check", "--json", cwd=tmp_path)
    assert (checked.code, checked.json.get("warnings")) == (0, []), checked.out


# ── how to run the iTwin mobile token server ─────────────────────────────────────────────────────

MOBILE = "docs/howto/run-the-itwin-mobile-token-server.md"


def test_the_three_variables_are_all_it_takes(tmp_path):
    text = examples(MOBILE)["variables"].code
    (tmp_path / ".env.local").write_text(text.replace("…", "x" * 20))
    checked = command("check", "--json", cwd=tmp_path)
    assert checked.code == 0
    assert list(checked.json["tokens"]) == ["itwin"]


def test_the_choosier_file_would_do(tmp_path):
    (tmp_path / "tokenward.toml").write_text(examples(MOBILE)["file"].code)
    environ = {"ITWIN_CLIENT_ID": "service-x", "ITWIN_CLIENT_SECRET": "y" * 40}
    checked = command("check", "--json", cwd=tmp_path, environ=environ)
    assert (checked.code, checked.json["warnings"]) == (0, [])


# ── how to add an upstream ───────────────────────────────────────────────────────────────────────

UPSTREAM = "docs/howto/add-an-upstream.md"
_PART = re.compile(r"^<!-- part: (\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_about_upstreams_shows_what_is_in_the_source():
    parts = _PART.findall((ROOT / UPSTREAM).read_text("utf-8"))
    assert len(parts) >= 5
    for path, part in parts:
        assert part in (ROOT / "src/tokenward" / path).read_text("utf-8")


def test_the_upstream_of_that_page_is_short_and_passes_the_test_of_that_page():
    found = examples(UPSTREAM)
    assert found["weather"].code.count("\n") < 80
    names = found["weather"].run(__name__="weather")
    names |= found["agreed"].run(__name__="agreed")
    tests = found["test-weather"].run(**{**names, "__name__": "test_weather"})
    tests["test_a_session_is_asked_for_with_the_key_and_becomes_a_token"]()
    for answer in (httpx2.Response(500), httpx2.Response(201, json={})):
        tests["test_anything_else_is_no_token"](answer)
    names["Weather"].flow = lambda *_, **__: iter([httpx2.Request("GET", "https://x")])
    with pytest.raises(AssertionError):
        tests["test_a_session_is_asked_for_with_the_key_and_becomes_a_token"]()


def test_the_configuration_of_that_page_knows_it(tmp_path):
    found = examples(UPSTREAM)
    (tmp_path / "weather.py").write_text(found["weather"].code)
    (tmp_path / "tokenward.toml").write_text(found["configuration"].code)
    path = f"{ROOT / 'src'}:{tmp_path}"
    environ = {"WEATHER_API_KEY": "k" * 20, "PYTHONPATH": path}
    checked = command("check", "--json", cwd=tmp_path, environ=environ)
    assert (checked.code, checked.json.get("warnings")) == (0, []), checked.out
    mistaken = found["configuration"].code.replace("url      =", "ulr      =")
    (tmp_path / "tokenward.toml").write_text(mistaken)
    refused = command("check", cwd=tmp_path, environ=environ)
    assert 'did you mean "url"?' in refused.err


# ── how to run several ───────────────────────────────────────────────────────────────────────────

SEVERAL = "docs/howto/run-several.md"


def test_the_store_and_the_cache_of_that_page_would_do(tmp_path):
    found = examples(SEVERAL)
    top = found["postgresql"].code + found["redis"].code
    reports = REPORTS.replace('store  = "sqlite:tokenward.db"\n', top)
    caller = '[callers.robot]\nproof = "jwt"\nissuer = "https://x.example.com"\naudience = "us"\n'
    (tmp_path / "tokenward.toml").write_text(reports + caller + RULE.format("robot"))
    environ = {"DATABASE_PASSWORD": "x%20y", "REDIS_PASSWORD": "z", "ENCRYPTION_KEY": "k" * 43}
    checked = command("check", "--json", cwd=tmp_path, environ=environ)
    assert (checked.code, checked.json.get("warnings")) == (0, []), checked.out


def test_the_roles_of_that_page_are_made_as_it_says(postgresql, tmp_path):
    role, database = examples(SEVERAL)["roles"].text({"…": "secret"}).strip().splitlines()
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as db:
        db.execute(role.replace("tokenward", "several").encode())
        db.execute(database.replace("tokenward", "several").encode())
    url = f"postgresql://several:secret@127.0.0.1:{postgresql.port}/several"

    async def used():
        store = open_store(url, now)
        await store.open()
        await store.shelf.put("key", b"value", until=None)
        kept = await store.shelf.get("key")
        await store.close()
        return kept

    assert asyncio.run(used()) == b"value"
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as db:
        db.execute("DROP DATABASE several")
        db.execute("DROP ROLE several")


# ── how to back up ───────────────────────────────────────────────────────────────────────────────

BACKUP = "docs/howto/back-up.md"


def test_the_backup_of_a_postgresql_is_made_and_put_back_as_that_page_says(postgresql, tmp_path):
    url = postgresql.fresh()

    async def done(*what):
        store = open_store(url, now)
        await store.open()
        found = [await step(store) for step in what]
        await store.close()
        return found

    def shell(name):
        place = {
            "db.example.com": f"127.0.0.1 --port={postgresql.port}",
            "=tokenward ": f"={databases.USER} ",
        }
        code = examples(BACKUP)[name].text(place).replace("--dbname=tokenward", f"--dbname={ours}")
        code = re.sub(r" tokenward$", f" {ours}", code, flags=re.MULTILINE)
        path = f"{postgresql.program('pg_dump').parent}:/usr/bin:/bin"
        environ = {"PATH": path, "PGPASSWORD": databases.PASSWORD}
        environ |= {"DATABASE_PASSWORD": databases.PASSWORD}
        subprocess.run(["/bin/sh", "-ec", code], cwd=tmp_path, env=environ, check=True)

    ours = url.rpartition("/")[2]
    asyncio.run(
        done(
            lambda it: it.chains.begin("alive", "alive-1", b"grant", until=None),
            lambda it: it.chains.begin("revoked", "revoked-1", b"grant", until=None),
            lambda it: it.chains.revoke("revoked"),
        )
    )
    shell("dump")
    asyncio.run(done(lambda it: it.chains.revoke("alive")))
    shell("undump")
    found = asyncio.run(
        done(
            lambda it: it.chains.look("alive-1"),
            lambda it: it.chains.look("revoked-1"),
            lambda it: it.shelf.add("once", b"", until=None),
        )
    )
    assert found == [b"grant", None, True]


@pytest.mark.parametrize("page", [UPSTREAM, MOBILE, SEVERAL])
def test_whatever_these_pages_show_is_run(page):
    here = (ROOT / "tests/test_documents.py").read_text("utf-8")
    assert [name for name in examples(page) if f'"{name}"' not in here] == []
    shown = {part for _, part in _PART.findall((ROOT / page).read_text("utf-8"))}
    assert [code for code in unmarked(page) if code not in shown] == []
