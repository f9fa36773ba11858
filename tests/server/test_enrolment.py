"""Registered clients at the token endpoint, beside those of the configuration file."""

import logging
import subprocess
import sys
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

from tests.world import FILE, SECRET, claims_of
from tokenward.oauth.messages import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.server.directory import Entry, publish
from tokenward.server.enrolment import id_fault
from tokenward.server.hashes import Known
from tokenward.server.keeping import seal

THEIRS = "partner-" + "p" * 40
RULE = """
[[allow]]
name   = "reports for all clients"
caller = "*"
token  = "reports"
scope  = "*"
"""
RAW = """
[callers.raw]
proof    = "jwt"
issuer   = "{friend}"
audience = "https://raw.example.com"
subject  = "raw"
[[allow]]
caller = "raw"
claims = {{ permissions = "models:read" }}
token  = "reports"
scope  = "reports:read"
"""


def known(secret=THEIRS, **more):
    return Known(hash="sha256:" + sha256(secret.encode()).hexdigest(), **more)


def entry(id="partner", **more):
    said = {"grant_types": frozenset({CLIENT_CREDENTIALS}), "secrets": (known(name="first"),)}
    return Entry(id=id, **said | more)


class Enrolling:
    """Somebody who registers clients beside a running server."""

    def __init__(self, world):
        self.world = world
        self.number = 0

    async def __call__(self, *entries, look=True):
        server, self.number = self.world.server, self.number + 1
        shelf = server.store.shelf
        key = seal(self.world.settings, server.store)
        await publish(entries, self.number, shelf=shelf, seal=lambda: key)
        if look:
            await server.directory.look()


@pytest.fixture
def enrolled(worlds, tmp_path):
    @asynccontextmanager
    async def enrolled(file=FILE + RULE):
        async with worlds(store=f"sqlite:{tmp_path}/kept.db", file=file) as world:
            yield world, Enrolling(world)

    return enrolled


async def ask(world, id="partner", secret=THEIRS, **form):
    return await world.token(auth=(id, secret), audience="reports", **form)


async def test_a_registered_client_gets_a_token_and_the_trail_says_whose(enrolled):
    async with enrolled() as (world, enrol):
        assert (await ask(world)).status_code == 401
        await enrol(entry())
        answer = await ask(world)
        assert answer.status_code == 200
        claims = claims_of(answer.json()["access_token"])
        assert (claims["sub"], claims["client_id"]) == ("partner", "partner")
        assert (await world.token(audience="reports")).status_code == 200
    refused, given, _ = world.events()
    assert refused["error"] == "invalid_client"
    assert (given["client"], given["rule"]) == ("partner", "reports for all clients")
    assert "first" in str(given)


@pytest.mark.parametrize(
    "change",
    [
        {"disabled": True},
        {"secrets": ()},
        {"secrets": (known("another-" + SECRET, name="first"),)},
        {"secrets": (known(name="first", expires=1.0),)},
        {"id": "Partner"},
    ],
)
async def test_who_may_not_come_in_is_refused_like_anybody_unknown(enrolled, change):
    async with enrolled() as (world, enrol):
        unknown = await ask(world)
        await enrol(entry())
        assert (await ask(world)).status_code == 200
        await enrol(entry(**change))
        refused = await ask(world)
        assert refused.status_code == 401
        assert refused.content == unknown.content
        await enrol(entry())
        assert (await ask(world)).status_code == 200
        await enrol()
        assert (await ask(world)).content == unknown.content


@pytest.mark.parametrize(
    ("change", "form", "error"),
    [
        ({"scope": Scope.parse("reports:read")}, {"scope": "reports:write"}, "invalid_scope"),
        ({"grant_types": frozenset()}, {}, "unauthorized_client"),
        ({"grant_types": frozenset({TOKEN_EXCHANGE})}, {}, "unauthorized_client"),
        ({}, {"audience": "models"}, "invalid_target"),
        ({}, {"audience": "itwin"}, "invalid_target"),
    ],
)
async def test_it_may_do_what_it_is_registered_for_and_the_rules_allow(
    enrolled, change, form, error
):
    async with enrolled() as (world, enrol):
        await enrol(entry(**change))
        refused = await world.token(auth=("partner", THEIRS), **{"audience": "reports"} | form)
        assert refused.json()["error"] == error
        assert world.upstream.questions == []


async def test_without_a_rule_for_all_clients_it_gets_nothing(enrolled):
    async with enrolled(FILE) as (world, enrol):
        await enrol(entry())
        assert (await ask(world)).json()["error"] == "invalid_target"


@pytest.mark.parametrize("name", ["nightly", "mobile", "reports-api", "browser", "users", "*"])
async def test_what_the_file_says_wins_over_whatever_is_registered(enrolled, name, caplog):
    async with enrolled() as (world, enrol):
        assert id_fault(name, world.settings)
        await enrol(entry(name), entry())
        assert (await ask(world, name)).status_code == 401
        assert (await ask(world)).status_code == 200
        assert (await ask(world, "nightly", SECRET)).status_code == 200
    (said,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert repr(name) in said.getMessage()


@pytest.mark.parametrize(
    "id", ["", "a b", " a", "a|b", "a:b", "a/b", "-a", "ä", "a\n", "a" * 129, "a%20b", "a+b"]
)
async def test_an_id_that_could_be_misread_is_not_registered(enrolled, id):
    async with enrolled() as (world, _):
        assert "must be letters" in id_fault(id, world.settings)
        assert id_fault("a" * 128, world.settings) == id_fault("A.b-c_1", world.settings) == ""


async def test_nobodys_people_may_have_the_name_of_a_registered_client(enrolled):
    async with enrolled(FILE + RULE + RAW) as (world, enrol):

        async def exchange(sub):
            token = world.user_token(aud="https://raw.example.com", sub=sub)
            return await world.exchange(token, audience="reports")

        assert (await exchange("somebody")).status_code == 200
        await enrol(entry(), entry("quiet", disabled=True))
        for sub in ("partner", "quiet", "partner|ann", "nightly"):
            assert (await exchange(sub)).json()["error"] == "invalid_grant"
        assert (await exchange("partners")).status_code == 200


async def test_a_token_for_a_registered_client_reads_and_writes_nothing(enrolled):
    async with enrolled() as (world, enrol):
        await enrol(entry())
        await ask(world)
        before = world.server.store.counts
        for _ in range(3):
            assert (await ask(world)).status_code == 200
        assert world.server.store.counts == before


async def test_whoever_starts_later_knows_them_at_once(enrolled):
    async with enrolled() as (_, enrol):
        await enrol(entry(), look=False)
    async with enrolled() as (world, _):
        assert (await ask(world)).status_code == 200


async def test_while_the_store_is_away_registered_clients_go_on(enrolled, tmp_path):
    async with enrolled() as (world, enrol):
        await enrol(entry())
        (tmp_path / "kept.db").rename(tmp_path / "elsewhere.db")
        assert (await world.http.get("/readyz")).status_code == 503
        assert (await ask(world)).status_code == 200


async def test_what_is_in_memory_alone_has_nobody_registered(world):
    assert world.server.directory is None


def test_authenticating_registered_clients_needs_no_sql_toolkit():
    code = (
        "import sys, tokenward.server.__main__, tokenward.server.directory;"
        " print({'sqlalchemy', 'alembic', 'tokenward.server.records'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
