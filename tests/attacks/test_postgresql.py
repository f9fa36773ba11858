"""PostgreSQL stopped, restarted, killed and frozen while it is needed (§4, R-10 and R-11)."""

import asyncio
import signal
import time
from urllib.parse import quote

import pytest

from tests import databases
from tests.databases import PASSWORD
from tokenward.server.stores import Again, First, StoreUnavailable, open_store

LONGEST = 12.0
"""Seconds that anybody waits for an answer when there is nobody to give it."""
BACK = 20.0
"""Seconds after which it must work again."""
LOADERS = 8


@pytest.fixture(scope="module")
def server():
    """One that we may torment, and that takes care of what it was given."""
    with databases.of_our_own(databases.PostgreSQL, durable=True) as server:
        yield server


@pytest.fixture
async def store(server):
    store = open_store(server.fresh(), time.time)
    await store.open()
    yield store
    await store.close()


class Load:
    """Those who rotate as fast as they can, and present again what they heard nothing about."""

    def __init__(self, store):
        self.store = store
        self.done = self.unavailable = 0
        self.longest = 0.0
        self.ending = asyncio.Event()

    async def __aenter__(self):
        self.running = [asyncio.create_task(self.one(n)) for n in range(LOADERS)]
        return self

    async def __aexit__(self, *trouble):
        self.ending.set()
        self.chains = await asyncio.gather(*self.running)

    async def one(self, n):
        name = f"{id(self)}/{n}"
        await self.store.chains.begin(name, f"{name}/0", b"", until=None)
        number = 0
        while not self.ending.is_set():
            asked = time.monotonic()
            new = f"{name}/{number + 1}"
            try:
                got = await self.store.chains.rotate(
                    f"{name}/{number}", new, b"", new.encode(), until=None, grace=600
                )
            except StoreUnavailable:
                self.unavailable += 1
                await asyncio.sleep(0.01)
            else:
                assert got in (First(), Again(replay=new.encode()))
                number += 1
                self.done += 1
            self.longest = max(self.longest, time.monotonic() - asked)
        return name, number

    async def resumes(self):
        """Wait until all succeed again."""
        until, goal = time.monotonic() + BACK, self.done + 20 * LOADERS
        while self.done < goal:
            assert time.monotonic() < until, "it does not come back"
            await asyncio.sleep(0.02)

    async def check(self):
        """All that was acknowledged is there, and of each chain one link is live: the last."""
        for name, number in self.chains:
            live = [
                n
                for n in range(max(0, number - 3), number + 3)
                if await self.store.chains.look(f"{name}/{n}") is not None
            ]
            assert live == [number]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "by a crash"])
async def test_restarted_under_load_it_loses_nothing_and_does_nothing_twice(server, store, how):
    async with Load(store) as load:
        for _ in range(3):
            await load.resumes()
            await asyncio.to_thread(server.stop, how)
            await asyncio.to_thread(server.start)
        await load.resumes()
    assert load.unavailable < load.done
    assert load.longest < LONGEST
    await load.check()


async def test_stopped_all_hear_so_soon_and_it_is_found_again_by_itself(server, store):
    await store.shelf.put("code", b"grant", until=None)
    await asyncio.to_thread(server.stop)
    try:
        started = time.monotonic()
        heard = await asyncio.gather(
            *(store.shelf.take("code") for _ in range(50)),
            *(store.shelf.get("code") for _ in range(50)),
            store.ping(),
            return_exceptions=True,
        )
        assert {type(one) for one in heard} == {StoreUnavailable}
        assert time.monotonic() - started < LONGEST
        started = time.monotonic()
        for attempt in (store.shelf.take, store.shelf.get, store.shelf.drop):
            with pytest.raises(StoreUnavailable, match="refused") as gone:
                await attempt("code")
            assert PASSWORD not in str(gone.value.detail)
        assert time.monotonic() - started < 1, "everybody waits for what is known to be gone"
    finally:
        await asyncio.to_thread(server.start)
    await back(store)
    assert await store.shelf.get("code") == b"grant"
    assert await store.shelf.take("code") == b"grant"
    assert await store.shelf.take("code") is None


async def back(store):
    until = time.monotonic() + BACK
    while True:
        try:
            await store.ping()
        except StoreUnavailable:
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        else:
            return


async def test_one_that_does_not_answer_is_waited_for_for_a_while(server, store):
    await store.shelf.put("key", b"value", until=None)
    with server.frozen():
        started = time.monotonic()
        asked = [store.shelf.get("key"), store.shelf.put("key", b"other", until=None)]
        late = asyncio.create_task(asked_later(store))
        heard = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(one) for one in heard} == {StoreUnavailable}
        assert await late is StoreUnavailable
        assert time.monotonic() - started < LONGEST
    await back(store)
    # Nobody was told that it was put: it may have been, and wholly.
    assert await store.shelf.get("key") in {b"value", b"other"}
    assert await store.shelf.take("key") is not None


async def asked_later(store):
    await asyncio.sleep(2)
    try:
        await store.shelf.take("key")
    except StoreUnavailable as told:
        return type(told)


async def test_closing_while_it_is_gone_takes_no_time(server, store):
    await asyncio.to_thread(server.stop)
    try:
        asked = asyncio.ensure_future(store.shelf.get("key"))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        await store.close()
        assert time.monotonic() - started < 1
        with pytest.raises(StoreUnavailable):
            await asked
    finally:
        await asyncio.to_thread(server.start)


# ── the whole server ──


def test_a_server_whose_database_is_stopped_says_503_and_goes_on_with_what_needs_none(server, labs):
    url = server.fresh()
    key = 'encryption_key_file = "key'
    lab = labs(store=f'{url}"\n{key}')
    ours = lab.server.start()
    kept, revoked = ours.post().token, ours.post().token
    assert ours.revoke(revoked).status == 200
    keys = ours.ask("GET", "/.well-known/jwks.json").body
    server.stop()
    try:
        started = time.monotonic()
        refused = ours.revoke(kept)
        assert refused.error == (503, "temporarily_unavailable")
        assert int(refused["retry-after"]) > 0
        assert ours.ask("GET", "/readyz").status == 503
        assert time.monotonic() - started < 2 * LONGEST
        assert ours.ask("GET", "/livez").status == 200
        assert ours.ask("GET", "/.well-known/jwks.json").body == keys
        assert ours.post().status == 200
        assert ours.get_token(lab.user_token()).status == 200
    finally:
        server.start()
    until = time.monotonic() + BACK
    while ours.ask("GET", "/readyz").status != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert ours.live(kept)
    assert not ours.live(revoked)
    assert ours.revoke(kept).status == 200
    assert not ours.live(kept)
    ours.kill()
    ours.start()
    assert ours.ask("GET", "/.well-known/jwks.json").body == keys
    assert not ours.live(kept)
    assert ours.end(signal.SIGTERM) == 0
    written = b"".join(path.read_bytes() for path in ours.folder.rglob("*") if path.is_file())
    configured = (ours.folder / "tokenward.toml").read_bytes()
    secret = quote(PASSWORD, safe="").encode()
    assert written.count(secret) == configured.count(secret) == 1
    assert PASSWORD.encode() not in written
