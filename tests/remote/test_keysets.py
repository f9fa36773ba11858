"""Keys are known without waiting, asked for once for a crowd, and forgotten when withdrawn."""

import asyncio
import threading

import pytest
from anyio.lowlevel import checkpoint

from tests.servers import JWKS, OPENID, SECRET_TEXT, Hands, Issuer, until, until_now
from tokenward.jose.keys import KeySet, SigningKey
from tokenward.remote.fetch import RemoteError, open_client, run
from tokenward.remote.keysets import (
    COOLDOWN,
    LONGEST_MAX_AGE,
    LONGEST_PAUSE,
    PAUSE,
    SHORTEST_MAX_AGE,
    TRUSTED,
    RemoteKeys,
    fetch_keys,
)

BROKEN = {
    "500": "answered 500",
    "503": "answered 503",
    "429": "answered 429",
    "404": "answered 404",
    "html": "not with a JSON object",
    "empty": "not with a JSON object",
    "list": "not with a JSON object",
    "garbage": "not HTTP",
    "cut": "not HTTP",
    "hang_up": "not HTTP",
    "huge": "more than",
    "bomb": "more than",
    "redirect": "redirect",
    "hang": "in time",
    "drip": "in time",
    "drip_head": "in time",
}


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def keys(issuer, hands):
    return RemoteKeys(issuer.url, clock=hands)


def kids(keys):
    return [key.kid for key in keys.current.keys]


class ByThreads:
    @staticmethod
    def load(keys, *, unknown=False):
        keys.load(unknown=unknown)


class ByTasks:
    @staticmethod
    def load(keys, *, unknown=False):
        asyncio.run(keys.aload(unknown=unknown))


@pytest.fixture(params=[ByThreads, ByTasks])
def load(request):
    return request.param.load


def published(issuer):
    with open_client() as client:
        return run(fetch_keys(issuer.jwks_uri), client)


# ── what is published ──


def test_the_keys_are_those_that_are_published(issuer, key, other_key):
    issuer.keys.append(other_key)
    assert [key.kid for key in published(issuer).keys.keys] == ["first", "second"]


def test_entries_that_are_no_keys_for_us_are_skipped(issuer):
    issuer.entries = [
        {
            "kty": "oct",
            "kid": "shared",
            "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0",
            "alg": "HS256",
        },
        {"kty": "RSA", "kid": "first", "e": "AQ", "n": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "unheard-of"},
        {},
        None,
        7,
        "key",
        [],
        issuer.keys[0].public_jwk() | {"d": "AAAA", "kid": "private"},
        issuer.keys[0].public_jwk() | {"use": "enc", "kid": "for-encryption"},
        issuer.keys[0].public_jwk() | {"kid": 7},
    ]
    assert [key.kid for key in published(issuer).keys.keys] == ["first"]


@pytest.mark.parametrize("document", [b'{"keys":{}}', b'{"keys":null}', b"{}", b'{"jwks":[]}'])
def test_an_object_without_a_list_of_keys_is_no_key_set(issuer, document, monkeypatch):
    monkeypatch.setattr(issuer, "_bad_odd", lambda it: issuer._send(it, document), raising=False)
    issuer.behaviour[JWKS] = "odd"
    with pytest.raises(RemoteError, match="not a JWKS"):
        published(issuer)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 600),
        ("", 600),
        ("no-store", 600),
        ("max-age=900", 900),
        ("public, MAX-AGE=900, must-revalidate", 900),
        ("public,max-age=900", 900),
        ('max-age="900"', 900),
        ("max-age=0", SHORTEST_MAX_AGE),
        ("max-age=5184000", LONGEST_MAX_AGE),
        ("max-age=999999999999999999", LONGEST_MAX_AGE),
        ("max-age=-5", 600),
        ("max-age=soon", 600),
        ("s-maxage=900", 600),
    ],
)
def test_the_max_age_is_theirs_within_our_bounds(issuer, header, seconds):
    if header is not None:
        issuer.headers["Cache-Control"] = header
    assert published(issuer).max_age == seconds


@pytest.mark.parametrize("uri", ["", "http://keys.example", "file:///keys", "https://a@b.example"])
def test_a_jwks_uri_that_is_not_safe_is_not_asked(uri):
    with pytest.raises(RemoteError, match="jwks_uri"):
        next(fetch_keys(uri))


# ── knowing ──


def test_nothing_is_known_and_nothing_asked_until_somebody_loads(issuer, keys):
    assert keys.current == KeySet()
    assert issuer.asked == []


def test_discovery_leads_to_the_keys(issuer, keys, load):
    load(keys)
    assert kids(keys) == ["first"]
    assert issuer.asked == [OPENID, JWKS]


def test_a_configured_jwks_uri_spares_the_discovery(issuer, hands, load):
    keys = RemoteKeys("anything", jwks_uri=issuer.jwks_uri, clock=hands)
    load(keys)
    assert kids(keys) == ["first"]
    assert issuer.asked == [JWKS]


def test_fixed_keys_are_never_fetched(key, load):
    fixed = KeySet((key.verifying_key(),))
    keys = RemoteKeys("https://nobody.example", fixed=fixed)
    for unknown in (True, False):
        load(keys, unknown=unknown)
        assert not keys.due(unknown=unknown)
    assert keys.current == fixed


@pytest.mark.parametrize("url", ["", "issuer", "http://issuer.example", "https://a@b.example"])
def test_an_unsafe_url_is_refused_before_anything_is_asked(url):
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        RemoteKeys(url)
    with pytest.raises(ValueError):  # noqa: PT011
        RemoteKeys("https://issuer.example", jwks_uri=url or "x")


def test_fresh_keys_are_not_fetched_again(issuer, keys, hands, load):
    load(keys)
    hands.forward(599)
    load(keys)
    assert issuer.count() == 1


def test_keys_past_their_max_age_are_fetched_again(issuer, keys, hands, load):
    load(keys)
    hands.forward(600)
    load(keys)
    assert issuer.count() == 2


def test_the_generation_changes_with_the_keys_and_only_with_them(
    issuer, keys, hands, load, other_key
):
    load(keys)
    before = keys.generation
    hands.forward(600)
    load(keys)
    assert keys.generation == before
    issuer.keys.append(other_key)
    hands.forward(600)
    load(keys)
    assert keys.generation != before


# ── rotation and withdrawal ──


def test_a_key_id_nobody_knows_is_asked_for_at_once(issuer, keys, hands, load, other_key):
    load(keys)
    issuer.keys.append(other_key)
    hands.forward(1)
    load(keys, unknown=True)
    assert kids(keys) == ["first", "second"]


def test_a_storm_of_key_ids_nobody_knows_is_one_fetch_per_cooldown(issuer, keys, hands, load):
    load(keys)
    for _ in range(50):
        load(keys, unknown=True)
    assert issuer.count() == 2
    hands.forward(COOLDOWN - 1)
    load(keys, unknown=True)
    assert issuer.count() == 2
    hands.forward(1)
    load(keys, unknown=True)
    assert issuer.count() == 3


def test_a_withdrawn_key_is_forgotten_at_the_next_success(issuer, keys, hands, load, other_key):
    issuer.keys.append(other_key)
    load(keys)
    issuer.keys.pop(0)
    hands.forward(600)
    load(keys)
    assert kids(keys) == ["second"]


def test_an_issuer_that_withdraws_all_its_keys_means_it_but_is_asked_again_soon(
    issuer, keys, hands, load
):
    load(keys)
    issuer.behaviour[JWKS] = "no_keys"
    hands.forward(600)
    with pytest.raises(RemoteError, match="no key we can use"):
        load(keys)
    assert keys.current == KeySet()
    issuer.behaviour.clear()
    hands.forward(PAUSE)
    load(keys)
    assert kids(keys) == ["first"]


# ── when they cannot be reached ──


@pytest.mark.parametrize(
    ("path", "habit"),
    # (a 404 for the metadata only leads to the next place)
    [
        (path, habit)
        for path in (JWKS, OPENID)
        for habit in BROKEN
        if (path, habit) != (OPENID, "404")
    ],
)
def test_without_any_keys_a_failure_is_told(issuer, hands, load, habit, path):
    keys = RemoteKeys(issuer.url, clock=hands, deadline=0.3 if "time" in BROKEN[habit] else 10)
    issuer.behaviour[path] = habit
    with pytest.raises(RemoteError, match=BROKEN[habit]) as caught:
        load(keys)
    assert SECRET_TEXT not in caught.value.reason
    assert vars(keys.failure) == vars(caught.value)
    # What is kept holds on to nothing that was at work when it happened.
    assert keys.failure.__traceback__ is keys.failure.__context__ is keys.failure.__cause__ is None


@pytest.mark.parametrize("habit", [*BROKEN, "other_issuer"])
def test_the_last_known_good_keys_stay_and_recovery_is_quick(issuer, hands, load, habit):
    keys = RemoteKeys(issuer.url, clock=hands)
    load(keys)
    keys._deadline = 0.3 if "time" in BROKEN.get(habit, "") else 10
    issuer.behaviour["*"] = habit
    hands.forward(600)
    load(keys)
    assert kids(keys) == ["first"]
    assert keys.failure
    issuer.behaviour.clear()
    hands.forward(PAUSE)
    load(keys)
    assert keys.failure is None
    assert kids(keys) == ["first"]


def test_a_key_set_that_is_down_is_not_hammered(issuer, keys, hands, load):
    issuer.behaviour["*"] = "500"
    for _ in range(50):
        with pytest.raises(RemoteError):
            load(keys, unknown=True)
    assert len(issuer.asked) == 1
    hands.forward(PAUSE)
    with pytest.raises(RemoteError):
        load(keys, unknown=True)
    assert len(issuer.asked) == 2


@pytest.mark.parametrize(("asked", "waited"), [("1", PAUSE), ("7", 7.0), ("600", LONGEST_PAUSE)])
def test_whoever_asks_us_to_wait_is_heeded_within_reason(issuer, keys, hands, asked, waited):
    issuer.behaviour["*"] = "429"
    issuer.headers["Retry-After"] = asked
    with pytest.raises(RemoteError):
        keys.load()
    assert keys.pause == pytest.approx(waited)
    hands.forward(waited - 0.1)
    assert not keys.due(unknown=True)
    hands.forward(0.1)
    assert keys.due()


def test_keys_not_confirmed_for_a_day_are_not_believed(issuer, keys, hands, load):
    load(keys)
    issuer.behaviour["*"] = "500"
    hands.forward(TRUSTED - 1)
    load(keys)
    assert kids(keys) == ["first"]
    hands.forward(2)
    assert keys.current == KeySet()
    with pytest.raises(RemoteError, match="500"):
        load(keys)


def test_an_issuer_that_was_never_there_is_an_error(hands, load):
    keys = RemoteKeys("http://127.0.0.1:1", clock=hands)
    with pytest.raises(RemoteError, match="refuses connections"):
        load(keys)


def test_a_clock_that_is_set_back_stops_nothing(issuer, keys, hands, load):
    load(keys)
    load(keys, unknown=True)
    hands.forward(-7_200)
    assert kids(keys) == ["first"]
    load(keys)
    assert issuer.count() == 3
    issuer.behaviour["*"] = "500"
    hands.forward(600)
    load(keys)
    hands.forward(-7_200)
    issuer.behaviour.clear()
    load(keys)
    assert keys.failure is None


def test_a_clock_that_jumps_ahead_stops_nothing(issuer, keys, hands, load):
    load(keys)
    hands.forward(86_400 * 400)
    load(keys)
    assert kids(keys) == ["first"]


# ── crowds ──


async def test_a_hundred_tasks_make_one_fetch(issuer, keys):
    issuer.behaviour[JWKS] = "hang"
    crowd = [asyncio.create_task(keys.aload(unknown=True)) for _ in range(100)]
    await until(issuer.count)
    issuer.let_go.set()
    await asyncio.gather(*crowd)
    assert issuer.asked == [OPENID, JWKS]


def test_a_hundred_threads_make_one_fetch(issuer, keys):
    issuer.behaviour[JWKS] = "hang"
    threads = [threading.Thread(target=keys.load, kwargs={"unknown": True}) for _ in range(100)]
    for thread in threads:
        thread.start()
    until_now(issuer.count)
    issuer.let_go.set()
    for thread in threads:
        thread.join()
    assert issuer.asked == [OPENID, JWKS]
    assert kids(keys) == ["first"]


def test_a_hundred_threads_that_fail_make_one_fetch(issuer, keys):
    issuer.behaviour["*"] = "500"
    errors = []

    def ask():
        try:
            keys.load()
        except RemoteError as exc:
            errors.append(exc.status)

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [500] * 100
    assert len(issuer.asked) == 1


async def test_the_fetch_survives_the_one_who_asked_first(issuer, keys):
    issuer.behaviour[JWKS] = "hang"
    first = asyncio.create_task(keys.aload())
    await until(issuer.count)
    second = asyncio.create_task(keys.aload())
    await checkpoint()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    issuer.let_go.set()
    await second
    assert kids(keys) == ["first"]
    assert issuer.count() == 1


async def test_renewing_does_not_wait(issuer, keys, hands):
    await keys.aload()
    issuer.behaviour[JWKS] = "hang"
    hands.forward(600)
    keys.arenew()
    keys.arenew()
    assert kids(keys) == ["first"]
    await until(lambda: issuer.count() == 2)
    issuer.let_go.set()
    await keys.aload()
    assert issuer.count() == 2
    assert not keys.due()


def test_renewing_by_threads_does_not_wait(issuer, keys, hands):
    keys.load()
    issuer.behaviour[JWKS] = "hang"
    hands.forward(600)
    keys.renew()
    until_now(lambda: issuer.count() == 2)
    keys.renew()
    assert kids(keys) == ["first"]
    issuer.let_go.set()
    keys.load()
    assert issuer.count() == 2


def test_renewing_fresh_keys_starts_nothing(issuer, keys):
    keys.load()
    before = threading.active_count()
    keys.renew()
    assert threading.active_count() <= before
    assert issuer.count() == 1


def test_one_object_serves_one_event_loop_after_the_other(issuer, keys, hands):
    for _ in range(3):
        asyncio.run(keys.aload())
        hands.forward(600)
    keys.load()
    assert issuer.count() == 4


def test_an_event_loop_that_ended_in_the_middle_does_not_block_the_next(issuer, keys):
    issuer.behaviour[JWKS] = "hang"

    async def ask_and_leave():
        asyncio.get_running_loop().call_later(0.1, asyncio.current_task().cancel)
        await keys.aload()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ask_and_leave())
    issuer.behaviour.clear()
    asyncio.run(keys.aload())
    assert kids(keys) == ["first"]


def test_two_issuers_keep_their_keys_apart(issuer, other_key, load):
    with Issuer(other_key).serving() as other:
        ours, theirs = RemoteKeys(issuer.url), RemoteKeys(other.url)
        load(ours)
        load(theirs)
        assert (kids(ours), kids(theirs)) == (["first"], ["second"])


def test_the_same_key_id_twice_is_two_keys(issuer, load):
    twin = SigningKey.generate("ES256", kid="first")
    issuer.keys.append(twin)
    keys = RemoteKeys(issuer.url)
    load(keys)
    assert len(keys.current.find("first", "ES256")) == 2
