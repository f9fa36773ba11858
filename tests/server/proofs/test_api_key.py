"""Keys that were made here for scripts, in a whole server: who is believed, and for how long."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.world import FILE, claims_of
from tokenward.server import apikeys
from tokenward.server.apikeys import Entry, KeyList
from tokenward.server.directory import publish_bytes
from tokenward.server.keeping import seal
from tokenward.server.proofs import NOT_VOUCHED_FOR, api_key
from tokenward.server.stores import StoreUnavailable

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
TABLES = """
[callers.scripts]
proof   = "api_key"
default = "reports"
[callers.others]
proof   = "api_key"
[[allow]]
name   = "exporters read reports"
caller = "scripts"
claims = {{ groups = "exporters" }}
token  = "reports"
scope  = "reports:read"
[[allow]]
name   = "others read models"
caller = "others"
token  = "models"
scope  = "itwin-platform"
"""
PEPPER = b"p" * 32
KEY, OTHER = apikeys.make(), apikeys.make()


def entry(key=KEY, **more):
    said = {
        "id": "3f9a1c07",
        "caller": "scripts",
        "name": "nightly-export",
        "owner": "ann@example.com",
        "claims": {"groups": ["exporters"]},
        "digest": apikeys.digest_of(key, PEPPER),
    }
    return Entry(**said | more)


class Keys:
    """Somebody who makes and revokes keys beside a running server."""

    def __init__(self, world):
        self.world, self.number = world, 0

    @property
    def proofs(self):
        return self.world.server.subjects.proofs[2:]

    async def __call__(self, *entries, look=True):
        self.number += 1
        store = self.world.server.store
        key = seal(self.world.settings, store)
        data = apikeys.to_bytes(KeyList(pepper=PEPPER, entries=entries))
        await publish_bytes(
            lambda: data, self.number, place=apikeys.SHELF, shelf=store.shelf, seal=lambda: key
        )
        for proof in self.proofs if look else ():
            await proof.look()


@pytest.fixture
def keyed(worlds, tmp_path):
    @asynccontextmanager
    async def keyed():
        async with worlds(store=f"sqlite:{tmp_path}/kept.db", file=FILE + TABLES) as world:
            yield world, Keys(world)

    return keyed


async def test_whoever_shows_a_key_is_whom_it_was_made_for(keyed):
    async with keyed() as (world, keys):
        assert (await world.get_token(KEY)).status_code == 401
        await keys(entry())
        answer = await world.get_token(KEY)
        assert answer.status_code == 200
        claims = claims_of(answer.text.split()[1])
        assert (claims["sub"], claims["scope"]) == ("scripts|nightly-export", "reports:read")
        exchanged = await world.exchange(KEY, subject_token_type=ACCESS_TOKEN)
        assert exchanged.status_code == 200
    events = world.events()
    assert [it["subject_credential"] for it in events[1:]] == ["3f9a1c07"] * 2
    assert KEY not in str(events)
    assert entry().digest not in str(events)


@pytest.mark.parametrize(
    ("known", "shown", "status"),
    [
        ((), KEY, 401),
        ((entry(),), OTHER, 401),
        ((entry(),), KEY[:-1], 401),
        ((entry(),), KEY + "A", 401),
        ((entry(),), KEY.swapcase(), 401),
        ((entry(),), "twk_", 401),
        ((entry(),), entry().digest, 401),
        ((entry(),), entry().id, 401),
        ((entry(expires=1.0),), KEY, 401),
        ((entry(caller="nobody"),), KEY, 401),
        ((entry(caller="mobile"),), KEY, 401),
        ((entry(caller="nightly"),), KEY, 401),
        ((entry(digest=apikeys.digest_of(KEY, b"q" * 32)),), KEY, 401),
        ((entry(claims={}),), KEY, 403),
        ((entry(claims={"groups": ["Exporters"]}),), KEY, 403),
        ((entry(caller="others"),), KEY, 403),
    ],
    ids=[
        "nobody known",
        "another's key",
        "short",
        "long",
        "other case",
        "prefix",
        "what it is recognised by",
        "its id",
        "over",
        "unknown caller",
        "caller of another kind",
        "no such caller of keys",
        "another pepper",
        "no claims",
        "other claims",
        "a caller without rules",
    ],
)
async def test_nobody_else_is_believed(keyed, known, shown, status):
    async with keyed() as (world, keys):
        await keys(*known)
        answer = await world.get_token(shown, audience="reports")
        assert answer.status_code == status
        if status == 401 and not (known and known[0].expires == 1.0):
            assert NOT_VOUCHED_FOR in answer.text


async def test_a_key_is_for_its_own_caller_alone(keyed):
    async with keyed() as (world, keys):
        await keys(entry(), entry(OTHER, id="other", caller="others"))
        assert (await world.get_token(KEY, audience="reports")).status_code == 200
        assert (await world.get_token(OTHER, audience="models")).status_code == 200
        assert (await world.get_token(KEY, audience="models")).status_code == 403
        assert (await world.get_token(OTHER, audience="reports")).status_code == 403


async def test_a_key_is_no_assertion_no_secret_and_no_actor_of_everybody(keyed):
    async with keyed() as (world, keys):
        await keys(entry())
        bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        for answer in (
            await world.token(auth=None, grant_type=bearer, assertion=KEY),
            await world.token(auth=("nightly-export", KEY), audience="reports"),
            await world.token(auth=("3f9a1c07", KEY), audience="reports"),
            await world.http.get(f"/getToken?access_token={KEY}"),
            await world.exchange(KEY, subject_token_type="api_key"),
        ):
            assert answer.status_code in (400, 401)
            assert KEY not in answer.text


async def test_a_key_ends_when_it_is_to_and_no_token_lives_longer(keyed):
    async with keyed() as (world, keys):
        await keys(entry(expires=world.clock() + 60))
        answer = await world.exchange(KEY, subject_token_type=ACCESS_TOKEN)
        assert answer.json()["expires_in"] == 60
        world.clock.at += 60
        for _ in range(2):
            refused = await world.get_token(KEY)
            assert (refused.status_code, "expired" in refused.text) == (401, True)


async def test_a_key_that_was_revoked_is_refused_as_soon_as_the_list_is_seen(keyed):
    async with keyed() as (world, keys):
        await keys(entry(), entry(OTHER, id="other"))
        assert (await world.get_token(KEY)).status_code == 200
        await keys(entry(OTHER, id="other"))
        refused, unknown = await world.get_token(KEY), await world.get_token(apikeys.make())
        assert refused.status_code == 401
        assert refused.content == unknown.content
        assert (await world.get_token(OTHER)).status_code == 200


async def test_a_key_that_is_revoked_while_many_use_it_is_refused_from_one_moment_on(keyed):
    async with keyed() as (world, keys):
        await keys(entry())
        answers, busy = [], asyncio.Event()

        async def use():
            for _ in range(40):
                answers.append((await world.get_token(KEY)).status_code)
                if len(answers) == 20:
                    busy.set()
                await asyncio.sleep(0)

        users = [asyncio.create_task(use()) for _ in range(4)]
        await busy.wait()
        await keys()
        from_here = len(answers)
        await asyncio.gather(*users)
    assert set(answers[:20]) == {200}
    assert set(answers[from_here + 4 :]) == {401}
    assert 401 not in answers[: answers.index(401)]
    first = answers.index(401)
    assert 200 not in answers[first + 4 :], "those under way at that moment at most"


async def test_a_running_server_looks_by_itself(keyed, monkeypatch):
    monkeypatch.setattr("tokenward.server.directory.POLL", 0.01)
    async with keyed() as (world, keys):
        await keys(entry(), look=False)
        async with asyncio.timeout(5):
            while (await world.get_token(KEY)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await keys(look=False)
            while (refused := await world.get_token(KEY)).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert refused.status_code == 401


async def test_a_key_costs_no_question_and_no_write(keyed):
    async with keyed() as (world, keys):
        await keys(entry())
        await world.get_token(KEY)
        before = world.server.store.counts
        for _ in range(10):
            assert (await world.get_token(KEY)).status_code == 200
        assert world.server.store.counts == before


# ── when it was last used ────────────────────────────────────────────────────────────────────────


async def used(world):
    return await apikeys.last_used(world.server.store.shelf, ["3f9a1c07"])


async def test_the_last_use_is_written_in_batches_and_not_too_often(keyed):
    async with keyed() as (world, keys):
        await keys(entry())
        proof = keys.proofs[0]
        await world.get_token(KEY)
        assert await used(world) == {}
        first = world.clock()
        await proof.flush()
        assert await used(world) == {"3f9a1c07": first}
        world.clock.at += api_key.COARSE - 1
        await world.get_token(KEY)
        writes = world.server.store.counts.writes
        await proof.flush()
        assert world.server.store.counts.writes == writes
        world.clock.at += 1
        await world.get_token(KEY)
        await proof.flush()
        assert await used(world) == {"3f9a1c07": first + api_key.COARSE}


async def test_what_is_refused_is_no_use(keyed):
    async with keyed() as (world, keys):
        await keys(entry(expires=world.clock() + 5))
        world.clock.at += 5
        await world.get_token(KEY)
        await keys.proofs[0].flush()
        assert await used(world) == {}


async def test_a_store_that_is_away_costs_nobody_a_token(keyed, monkeypatch):
    async with keyed() as (world, keys):
        await keys(entry())
        proof = keys.proofs[0]

        async def away(*_, **__):
            raise StoreUnavailable("gone")

        await world.get_token(KEY)
        with monkeypatch.context() as patch:
            patch.setattr(type(world.server.store.shelf), "put", away)
            await proof.flush()
            assert (await world.get_token(KEY)).status_code == 200
        await proof.flush()
        assert await used(world) == {"3f9a1c07": world.clock()}


async def test_nothing_is_remembered_of_keys_that_are_gone(keyed):
    async with keyed() as (world, keys):
        await keys(entry())
        await world.get_token(KEY)
        proof = keys.proofs[0]
        await proof.flush()
        await keys(replace(entry(OTHER), id="other"))
        assert (proof._used, proof._written, proof._shown) == ({}, {}, {})


async def test_without_a_store_that_lasts_there_are_no_keys(worlds):
    async with worlds(file=FILE + TABLES) as world:
        assert (await world.get_token(KEY)).status_code == 401
