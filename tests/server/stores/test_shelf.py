"""What every shelf does."""

import asyncio
from hashlib import sha256

import pytest

from tests.server.stores import kinds
from tokenward.server.stores.redis import Redis


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
async def shelf(request, clock, tmp_path):
    if request.param == "redis":
        url = request.getfixturevalue("redis").url()
        kept = Redis(url, clock, patience=5, space=f"{tmp_path}:")
    else:
        kept = kinds.of(request, request.param).make(tmp_path, clock)
    await kept.open()
    yield kept.shelf
    await kept.close()


async def test_what_is_put_is_got_and_stays(shelf, clock):
    await shelf.put("code:1", b"grant", until=clock.now + 60)
    assert await shelf.get("code:1") == b"grant"
    assert await shelf.get("code:1") == b"grant"


async def test_what_was_never_put_is_absent(shelf):
    await shelf.put("code:1", b"grant", until=None)
    assert await shelf.get("code:2") is None
    assert await shelf.get("code") is None
    assert await shelf.get("CODE:1") is None
    assert await shelf.get("") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k", b""),
        ("k", bytes(range(256))),
        ("k", b"x" * 100_000),
        ("", b"v"),
        ("k%_*?[a]'\"; DROP TABLE shelf", b"v"),
        ("Schlüssel 鍵 🔑", b"v"),
        ("".join(sha256(bytes([n])).hexdigest() for n in range(40))[:2_000], b"v"),
    ],
)
async def test_any_bytes_are_kept_under_any_text(shelf, key, value):
    await shelf.put(key, value, until=None)
    assert await shelf.get(key) == value
    assert await shelf.keys("") == [key]
    assert await shelf.take(key) == value


async def test_put_replaces_value_and_time(shelf, clock):
    await shelf.put("key", b"old", until=clock.now + 10)
    await shelf.put("key", b"new", until=clock.now + 20)
    clock.now += 15
    assert await shelf.get("key") == b"new"
    await shelf.put("key", b"newer", until=clock.now + 1)
    clock.now += 1
    assert await shelf.get("key") is None


async def test_a_thing_expires_exactly_at_its_time(shelf, clock):
    end = clock.now + 10
    await shelf.put("key", b"value", until=end)
    clock.now = end - 0.001
    assert await shelf.get("key") == b"value"
    assert await shelf.keys("") == ["key"]
    assert not await shelf.add("key", b"other", until=end)
    clock.now = end
    assert await shelf.get("key") is None
    assert await shelf.keys("") == []
    assert await shelf.take("key") is None


async def test_a_thing_put_too_late_is_absent(shelf, clock):
    await shelf.put("key", b"value", until=clock.now)
    assert await shelf.get("key") is None
    await shelf.put("other", b"value", until=clock.now - 1)
    assert await shelf.take("other") is None


async def test_what_is_put_for_good_stays(shelf, clock):
    await shelf.put("put", b"value", until=None)
    assert await shelf.add("added", b"value", until=None)
    clock.now += 1e12
    assert await shelf.get("put") == b"value"
    assert await shelf.get("added") == b"value"


async def test_add_says_whether_it_is_new_and_changes_nothing_if_not(shelf, clock):
    assert await shelf.add("jti", b"first", until=clock.now + 10)
    assert not await shelf.add("jti", b"second", until=clock.now + 99)
    assert await shelf.get("jti") == b"first"
    clock.now += 10
    assert await shelf.get("jti") is None


async def test_add_is_refused_where_something_was_put(shelf):
    await shelf.put("jti", b"put", until=None)
    assert not await shelf.add("jti", b"added", until=None)
    assert await shelf.get("jti") == b"put"


async def test_what_has_expired_may_be_added_anew(shelf, clock):
    assert await shelf.add("jti", b"first", until=clock.now + 10)
    clock.now += 10
    assert await shelf.add("jti", b"second", until=clock.now + 10)
    assert not await shelf.add("jti", b"third", until=clock.now + 10)
    assert await shelf.get("jti") == b"second"


async def test_what_was_taken_or_dropped_may_be_added_anew(shelf):
    for leave in (shelf.take, shelf.drop):
        assert await shelf.add("key", b"value", until=None)
        await leave("key")
        assert await shelf.get("key") is None
    assert await shelf.add("key", b"value", until=None)


async def test_swap_says_whether_it_was_so_and_changes_nothing_if_not(shelf, clock):
    await shelf.put("key", b"first", until=clock.now + 10)
    assert await shelf.swap("key", b"first", b"second", until=clock.now + 20)
    assert not await shelf.swap("key", b"first", b"third", until=None)
    assert await shelf.get("key") == b"second"
    clock.now += 15
    assert await shelf.get("key") == b"second"
    clock.now += 5
    assert await shelf.get("key") is None


@pytest.mark.parametrize("old", [b"", b"val", b"value\0", b"Value", b"\0value"])
async def test_swap_compares_every_byte(shelf, old):
    await shelf.put("key", b"value", until=None)
    assert not await shelf.swap("key", old, b"new", until=None)
    assert await shelf.swap("key", b"value", bytes(range(256)), until=None)
    assert await shelf.swap("key", bytes(range(256)), b"", until=None)
    assert await shelf.swap("key", b"", b"last", until=None)
    assert await shelf.get("key") == b"last"


async def test_swap_finds_nothing_where_nothing_is_or_what_was_has_expired(shelf, clock):
    assert not await shelf.swap("key", b"", b"new", until=None)
    await shelf.put("key", b"old", until=clock.now + 10)
    clock.now += 10
    assert not await shelf.swap("key", b"old", b"new", until=None)
    assert await shelf.keys("") == []


async def test_of_a_hundred_swappers_one_hears_true(shelf):
    await shelf.put("key", b"old", until=None)
    await shelf.put("other", b"old", until=None)
    heard = await asyncio.gather(
        *(shelf.swap("key", b"old", str(n).encode(), until=None) for n in range(100))
    )
    assert heard.count(True) == 1
    assert await shelf.get("key") == str(heard.index(True)).encode()
    assert await shelf.get("other") == b"old"


async def test_swaps_and_other_writes_at_once_are_all_done(shelf):
    for n in range(20):
        await shelf.put(f"swap {n}", b"old", until=None)
    done = await asyncio.gather(
        *(shelf.swap(f"swap {n}", b"old", b"new", until=None) for n in range(20)),
        *(shelf.add(f"add {n}", b"new", until=None) for n in range(20)),
        shelf.swap("swap 99", b"old", b"new", until=None),
    )
    assert done == [True] * 40 + [False]
    assert len(await shelf.keys("swap ")) == len(await shelf.keys("add ")) == 20


async def test_take_gives_once(shelf):
    await shelf.put("code", b"grant", until=None)
    assert await shelf.take("code") == b"grant"
    assert await shelf.take("code") is None
    assert await shelf.get("code") is None


async def test_take_and_drop_touch_nothing_else(shelf):
    for key in ("a", "ab", "b"):
        await shelf.put(key, key.encode(), until=None)
    assert await shelf.take("a") == b"a"
    await shelf.drop("b")
    await shelf.drop("never put")
    assert await shelf.keys("") == ["ab"]


async def test_keys_are_those_that_begin_so_in_order(shelf, clock):
    for key in ("ring:main:ES256", "ring:ims:RS256", "ring", "rinh", "ring:", "RING:x", "a"):
        await shelf.put(key, b"", until=None)
    await shelf.put("ring:late", b"", until=clock.now)
    assert await shelf.keys("ring:") == ["ring:", "ring:ims:RS256", "ring:main:ES256"]
    assert await shelf.keys("ring:nobody") == []


async def test_keys_are_ordered_by_code_point_and_prefixes_taken_literally(shelf):
    keys = sorted(["é", "z", "Z", "%", "_a", "\uffff", "🔑", "🔑🔑"])
    for key in reversed(keys):
        await shelf.put(key, b"", until=None)
    assert await shelf.keys("") == keys
    assert await shelf.keys("%") == ["%"]
    assert await shelf.keys("_") == ["_a"]
    assert await shelf.keys("🔑") == ["🔑", "🔑🔑"]


async def test_of_a_hundred_adders_one_hears_true(shelf):
    heard = await asyncio.gather(
        *(shelf.add("jti", str(n).encode(), until=None) for n in range(100))
    )
    assert heard.count(True) == 1
    assert await shelf.get("jti") == str(heard.index(True)).encode()


async def test_of_a_hundred_takers_one_gets_it(shelf):
    await shelf.put("code", b"grant", until=None)
    got = await asyncio.gather(*(shelf.take("code") for _ in range(100)))
    assert got.count(b"grant") == 1
    assert got.count(None) == 99
