"""A whole server with a stored grant: what callers, the trail and a reload make of it."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx2
import pytest

from tests.rotating import Platform
from tests.world import SECRET, hashed
from tokenward.server.figures import Figures
from tokenward.server.life import alive
from tokenward.server.renewal import Renewable
from tokenward.server.settings import load

FILE = """
issuer = "https://tokens.example.com"
store  = "{store}"
{key}
[audit]
to   = "{folder}/audit.jsonl"
mode = "before"
[callers.nightly]
proof   = "client_secret"
secrets = ["{hash}"]
[tokens.calendar]
upstream       = "refresh_token"
token_endpoint = "{url}"
client_id      = "us"
client_secret  = "${{THEIRS}}"
refresh_token  = "${{FIRST}}"
scopes         = ["read"]
default        = ["read"]
[[allow]]
caller = "nightly"
token  = "calendar"
scope  = "read"
"""


class Town:
    def __init__(self, folder, platform, *, store="sqlite:{folder}/t.db"):
        self.folder, self.platform = folder, platform
        self.first = platform.begin()
        self.file = folder / "tokenward.toml"
        kept = store.format(folder=folder)
        self.file.write_text(
            FILE.format(
                store=kept, key="", folder=folder, hash=hashed(SECRET), url=platform.token_endpoint
            )
        )
        self.server = Renewable(self.settings())
        transport = httpx2.ASGITransport(self.server.front)
        self.http = httpx2.AsyncClient(transport=transport, base_url="https://tokens.example.com")

    def settings(self, first=""):
        return load(self.file, {"THEIRS": "their-secret", "FIRST": first or self.first})

    async def token(self):
        form = {"grant_type": "client_credentials", "audience": "calendar"}
        return await self.http.post("/token", data=form, auth=("nightly", SECRET))

    def events(self):
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
async def towns(tmp_path):
    async with AsyncExitStack() as stack:
        platform = stack.enter_context(Platform())

        async def make(**options):
            town = Town(tmp_path, platform, **options)
            await stack.enter_async_context(alive(town.server.front))
            await stack.enter_async_context(town.http)
            return town

        yield make


@pytest.mark.parametrize("store", ["sqlite:{folder}/t.db", "memory:"])
async def test_callers_get_tokens_of_it_and_the_trail_and_the_figures_tell(towns, store):
    town = await towns(store=store)
    for _ in range(3):
        answer = (await town.token()).json()
        assert answer["access_token"] == "theirs-1"
        assert answer["scope"] == "read"
    [*_, event] = town.events()
    assert (event["outcome"], event["token"]) == ("ok", "calendar")
    written = (town.folder / "audit.jsonl").read_text()
    assert "refresh-" not in written
    assert "theirs-1" not in written
    meter = town.server._server.meter
    figures: Figures = meter._today().figures
    assert figures.upstream("calendar").fetched == 1


async def test_another_refresh_token_counts_from_the_reload_on(towns):
    town = await towns()
    assert (await town.token()).json()["access_token"] == "theirs-1"
    second = town.platform.begin()
    await town.server.renew(town.settings(second))
    assert (await town.token()).json()["access_token"] == "theirs-2"
    assert town.platform.shown == [town.first, second]


async def test_a_reload_that_changes_nothing_asks_nobody(towns):
    town = await towns()
    await town.token()
    await town.server.renew(town.settings())
    assert (await town.token()).json()["access_token"] == "theirs-1"
    assert town.platform.shown == [town.first]


async def test_a_reload_with_other_encryption_keys_opens_what_is_kept(towns):
    town = await towns()
    settings = replace(town.settings(), encryption_key="A" * 43)
    old = (town.folder / "t.db.key").read_text().strip()
    await town.token()
    both = replace(settings, encryption_key=f"{'A' * 43} {old}")
    await town.server.renew(both)
    assert (await town.token()).json()["access_token"] == "theirs-1"


async def test_what_has_ended_is_503_for_callers_and_said_to_the_operator(towns):
    town = await towns()
    town.platform.end()
    for _ in range(2):
        refused = await town.token()
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "300"
        assert refused.json()["error_description"] == "the upstream gave no token"
    assert "configure another refresh_token" in town.events()[-1]["detail"]
    assert town.platform.shown == [town.first]


def test_in_memory_it_is_warned_of(tmp_path):
    with Platform() as platform:
        town = Town(tmp_path, platform, store="memory:")
        said = [str(one) for one in town.settings().warnings]
        assert any("forgotten whenever the server stops" in one for one in said)
        assert town.first not in "".join(said)
