"""What is special about Redis: it may forget, and it may be gone."""

import asyncio
import logging
import time
from urllib.parse import quote

import pytest
from redis.exceptions import RedisError

from tests import databases
from tests.databases import PASSWORD
from tokenward.server.stores import StoreUnavailable, WrongStore, open_cache, open_store
from tokenward.server.stores import redis as module
from tokenward.server.stores.redis import Redis

PATIENCE = 0.25


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    monkeypatch.setattr(module, "_REST", 0.05)


@pytest.fixture(scope="module")
def server():
    """One that may be stopped."""
    with databases.of_our_own(databases.Redis) as server:
        yield server


@pytest.fixture
async def cache(server, clock):
    cache = Redis(server.url(), clock, patience=PATIENCE)
    await cache.open()
    await cache._client.flushall()
    yield cache
    await cache.close()


async def gone(cache):
    """What it says when there is no Redis."""
    shelf = cache.shelf
    assert await shelf.get("key") is None
    await shelf.put("key", b"value", until=None)
    for attempt in (
        lambda: shelf.add("key", b"", until=None),
        lambda: shelf.take("key"),
        lambda: shelf.drop("key"),
        lambda: shelf.keys(""),
        cache.ping,
    ):
        with pytest.raises(StoreUnavailable, match="redis: "):
            await attempt()


async def back(cache):
    """Wait until it answers again."""
    for _ in range(200):
        try:
            await cache.ping()
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        else:
            return
    await cache.ping()


async def test_while_it_is_gone_nothing_is_there_and_nothing_is_promised(cache, server, caplog):
    await cache.shelf.put("key", b"value", until=None)
    server.stop()
    await gone(cache)
    server.start()
    await back(cache)
    assert await cache.shelf.get("key") is None
    await cache.shelf.put("key", b"new", until=None)
    assert await cache.shelf.get("key") == b"new"
    told = [record.getMessage() for record in caplog.records if record.name == "tokenward.server"]
    assert len(told) == 2
    assert told[0].endswith(": going on without it")
    assert told[1] == "redis: it is back"


async def test_where_it_is_gone_at_the_start_we_start_without_it(server, clock):
    server.stop()
    cache = Redis(server.url(), clock, patience=PATIENCE)
    await cache.open()
    await gone(cache)
    server.start()
    await back(cache)
    assert await cache.shelf.add("key", b"", until=None)
    await cache.close()


async def test_nobody_waits_long_for_one_that_does_not_answer(cache, server, monkeypatch):
    monkeypatch.setattr(module, "_REST", 60)
    await cache.shelf.put("key", b"value", until=None)
    with server.frozen():
        started = time.monotonic()
        assert await asyncio.gather(*(cache.shelf.get("key") for _ in range(500))) == [None] * 500
        assert time.monotonic() - started < 40 * PATIENCE  # one after the other it would be 500
        started = time.monotonic()
        for _ in range(100):  # it is known not to answer
            assert await cache.shelf.get("key") is None
        assert time.monotonic() - started < 20 * PATIENCE  # and here 100
    cache._asleep_until = 0
    await back(cache)
    assert await cache.shelf.get("key") == b"value"


async def test_whoever_leaves_takes_nobody_elses_answer_along(cache):
    for n in range(20):
        await cache.shelf.put(f"key {n}", str(n).encode(), until=None)
    for n in range(100):
        leaving = asyncio.ensure_future(cache.shelf.get(f"key {n % 20}"))
        await asyncio.sleep(n * 0.00002)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert await cache.shelf.get(f"key {n % 7}") == str(n % 7).encode()


async def test_a_thousand_may_ask_at_once(server, clock):
    cache = Redis(server.url(), clock, patience=30)
    for n in range(10):
        await cache.shelf.put(f"key {n}", str(n).encode(), until=None)
    got = await asyncio.gather(*(cache.shelf.get(f"key {n % 10}") for n in range(1000)))
    assert got == [str(n % 10).encode() for n in range(1000)]
    await cache.close()


async def test_what_has_expired_is_cleared_away_by_redis_itself(cache, clock):
    await cache.shelf.put("short", b"", until=clock.now + 5)
    await cache.shelf.add("long", b"", until=clock.now + 5000)
    left = [await cache._client.pttl(f"tokenward:{key}") for key in ("short", "long")]
    assert 64_000 < left[0] <= 65_000
    assert 5_059_000 < left[1] <= 5_060_000


async def test_others_in_the_same_redis_are_none_of_our_business(cache):
    await cache._client.set("key", b"somebody else's")
    await cache._client.set("tokenward", b"somebody else's")
    assert await cache.shelf.get("key") is None
    await cache.shelf.drop("key")
    assert "somebody" not in " ".join(await cache.shelf.keys(""))
    assert await cache._client.get("key") == b"somebody else's"


async def test_what_it_refuses_for_want_of_room_is_not_kept_and_it_is_not_gone(cache, caplog):
    await cache.shelf.put("key", b"value before", until=None)
    await cache._client.config_set("maxmemory", "1")
    try:
        await cache.shelf.put("key", b"value", until=None)
        with pytest.raises(StoreUnavailable, match="OOM"):
            await cache.shelf.add("other", b"", until=None)
    finally:
        await cache._client.config_set("maxmemory", "0")
    assert await cache.shelf.get("key") is None
    assert "without it" not in caplog.text


async def test_one_that_will_have_none_of_us_is_a_mistake_of_the_operator(server, clock, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = server.url().replace(quote(PASSWORD, safe=""), "an%20other%20password")
    for url in (wrong, server.url().removesuffix("/0") + "/99"):
        cache = Redis(url, clock, patience=5)
        with pytest.raises(WrongStore, match="redis: ") as refusal:
            await cache.open()
        await cache.close()
        for secret in (PASSWORD, "an other password", quote(PASSWORD, safe="")):
            assert secret not in str(refusal.value)
            assert secret not in caplog.text
            assert secret not in repr(cache)
            assert secret not in repr(cache.shelf)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("redis:", "is a URL with a host"),
        ("redis:secret@host", "is a URL with a host"),
        ("redis://:secret@host:port", "cannot be read"),
        ("redis://:secret@host:6379/0?secret=1", "cannot be read"),
        ("rediss://:secret@[host", "cannot be read"),
        ("memory:", "is no cache we know; use redis:"),
        ("sqlite:secret.db", "is no cache we know"),
        ("secret", "is no cache we know"),
        ("", "is no cache we know"),
    ],
)
def test_other_urls_are_refused_with_a_hint_and_without_repeating_them(clock, url, hint):
    with pytest.raises(WrongStore, match=hint) as refusal:
        open_cache(url, clock)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "REDIS"])
def test_it_is_a_cache_and_never_the_store(clock, scheme):
    assert isinstance(open_cache(f"{scheme}://:secret@host:6379/0", clock), Redis)
    with pytest.raises(WrongStore, match="may forget, so it can only be the cache; use memory:"):
        open_store(f"{scheme}://:secret@host:6379/0", clock)


def test_it_holds_no_chains_and_no_leases(clock):
    cache = open_cache("redis://host", clock)
    assert not hasattr(cache, "chains")
    assert not hasattr(cache, "leases")


async def test_a_named_cache_goes_by_the_clock_it_was_given(server, clock):
    cache = open_cache(server.url(), clock)
    await cache.shelf.put("named", b"value", until=clock.now + 1)
    assert await cache.shelf.get("named") == b"value"
    clock.now += 0.999
    assert await cache.shelf.keys("named") == ["named"]
    clock.now += 0.001
    assert await cache.shelf.get("named") is None
    assert await cache.shelf.keys("named") == []
    assert await cache.shelf.take("named") is None
    await cache.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis:x", "redis: is a URL with a host; "),
        ("REDISS:x", "rediss: is a URL with a host; "),
        ("redis://:secret@host:port", "redis: this URL cannot be read; "),
    ],
)
def test_urls_are_refused_in_these_words(clock, url, said):
    with pytest.raises(WrongStore) as refusal:
        open_cache(url, clock)
    assert str(refusal.value) == f"{said}write redis://:password@host:6379/0, or rediss:// for TLS"


async def test_what_is_said_while_it_is_gone_and_for_how_long(server, clock, monkeypatch):
    cache = Redis(server.url(), clock, patience=PATIENCE)
    with server.frozen():
        with pytest.raises(StoreUnavailable) as first:
            await cache.ping()
        monkeypatch.setattr(module, "_REST", 60)
        await asyncio.sleep(0.1)
        with pytest.raises(StoreUnavailable):
            await cache.ping()
        with pytest.raises(StoreUnavailable) as again:
            await cache.ping()
    assert first.value.detail.startswith("redis: ")
    assert PASSWORD not in first.value.detail
    assert again.value.detail == "redis: it did not answer a moment ago"
    rest = cache._asleep_until - asyncio.get_running_loop().time()
    assert 55 < rest <= 60
    await cache.close()


async def test_a_password_is_not_repeated_whatever_redis_says(cache):
    script = "return redis.error_reply('no ' .. ARGV[1] .. ' here')"
    with pytest.raises(StoreUnavailable) as told:
        await cache.asked(cache._client.eval, script, 0, PASSWORD)
    assert told.value.detail == "redis: no ... here"
    assert isinstance(told.value.__cause__, RedisError)


@pytest.mark.parametrize(("left", "kept"), [(0.5, True), (0.001, True), (0, False), (-1, False)])
async def test_a_moment_is_long_enough_to_be_kept(cache, clock, left, kept):
    await cache.shelf.put("key", b"value", until=clock.now + left)
    assert bool(await cache._client.exists("tokenward:key")) is kept
    assert await cache.shelf.get("key") == (b"value" if kept else None)
