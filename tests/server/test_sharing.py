"""One process of many asks, and the others take what it got: sealed, alive, and never needed."""

import asyncio
import math
import sqlite3
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.leaks import forms
from tests.servers import until
from tests.upstream import Upstream, says, silent, token
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.oauth.messages import TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import open_async_client
from tokenward.server import forgetting, sharing
from tokenward.server.broker import Broker
from tokenward.server.forgetting import Forgetting, forget
from tokenward.server.model import NOBODY, Authorization, Caller, Grant
from tokenward.server.seal import Seal
from tokenward.server.sharing import SHELF, Sharing, canonical
from tokenward.server.stores import StoreUnavailable, open_store
from tokenward.server.upstreams.client_credentials import ClientCredentials

KEY = bytes(range(32))


def authorized(scope="itwin-platform"):
    caller = Caller(name="mobile", subject="mobile|ann")
    grant = Grant(caller=caller, client=NOBODY, grant_type=TOKEN_EXCHANGE)
    return Authorization(
        grant=grant, token="itwin", scope=Scope.parse(scope), lifetime=math.inf, rule="r"
    )


class Hour:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@dataclass
class Town:
    """Several processes, as far as they know: each has its own store on the same file."""

    folder: object
    stack: AsyncExitStack
    upstream: Upstream
    clock: Hour = field(default_factory=Hour)
    name: str = "itwin"

    async def node(self, *, key=KEY, **changes):
        store = open_store(f"sqlite://{self.folder}/t.db", self.clock)
        await store.open()
        self.stack.push_async_callback(store.close)
        settings = {
            "token_endpoint": self.upstream.token_endpoint,
            "client_id": "us",
            "client_secret": "their-secret",
        }
        theirs = ClientCredentials(**settings | changes)
        http = await self.stack.enter_async_context(open_async_client())
        share = Sharing(
            token=self.name,
            upstream=theirs,
            shelf=store.shelf,
            leases=store.leases,
            seal=Seal.of(key),
            clock=self.clock,
            ticks=self.clock,
        )
        broker = Broker(
            upstream=theirs, http=http, clock=self.clock, ticks=self.clock, sharing=share
        )
        self.stack.push_async_callback(broker.close)
        return broker, store


@pytest.fixture
async def town(tmp_path):
    async with AsyncExitStack() as stack:
        yield Town(tmp_path, stack, stack.enter_context(Upstream()))


async def test_a_thousand_callers_in_two_processes_are_one_question(town):
    (one, _), (two, _) = await town.node(), await town.node()
    town.upstream.always = token(wait=0.3)
    asked = [it.issue(authorized()) for _ in range(500) for it in (one, two)]
    got = await asyncio.gather(*asked)
    assert {it.value for it in got} == {"theirs-1"}
    assert len(town.upstream.questions) == 1
    assert one.counters.asked + two.counters.asked == 1
    assert one.counters.shared + two.counters.shared == 1


async def test_what_is_warm_reads_and_writes_nothing_and_what_is_cold_little(town):
    (one, store), (two, other) = await town.node(), await town.node()
    await one.issue(authorized())
    cold = store.counts
    assert (cold.reads, cold.writes) == (2, 3)  # is it there? my turn; is it there now? put, done
    for _ in range(100):
        await one.issue(authorized())
    assert store.counts == cold
    await two.issue(authorized())
    assert (other.counts.reads, other.counts.writes) == (1, 0)


async def test_another_process_takes_the_whole_token(town):
    (one, _), (two, _) = await town.node(), await town.node()
    town.upstream.always = token(scope="itwin-platform", expires_in=1800)
    assert await one.issue(authorized()) == await two.issue(authorized())


async def test_a_successor_is_taken_from_whoever_asked_for_it(town):
    (one, _), (two, _) = await town.node(), await town.node()
    first = await one.issue(authorized())
    assert await two.issue(authorized()) == first
    town.clock.now += 3500
    second = await one.issue(authorized())
    assert second.value == "theirs-2"
    assert await two.issue(authorized()) == second
    assert len(town.upstream.questions) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": "another"},
        {"client_id": "we"},
        {"audience": "api"},
        {"resource": "https://api.example.com"},
        {"auth": "client_secret_post"},
        {"key": bytes(32)},
    ],
)
async def test_whoever_changes_a_setting_never_gets_an_old_token(town, changes):
    (one, _), (two, _) = await town.node(), await town.node(**changes)
    assert (await one.issue(authorized())).value == "theirs-1"
    assert (await two.issue(authorized())).value == "theirs-2"


async def test_another_scope_and_another_token_are_not_the_same(town):
    one, _ = await town.node()
    await one.issue(authorized("a"))
    town.name = "other"
    two, _ = await town.node()
    await two.issue(authorized("b"))
    await two.issue(authorized("a"))
    assert len(town.upstream.questions) == 3


async def test_a_dead_or_dying_token_is_not_taken(town):
    (one, _), (two, _) = await town.node(), await town.node()
    await one.issue(authorized())
    town.clock.now += 3500  # in the margin: not handed out any more
    assert (await two.issue(authorized())).value == "theirs-2"


async def test_a_token_from_the_future_is_not_taken(town):
    (one, _), (two, _) = await town.node(), await town.node()
    town.clock.now += 3600
    await one.issue(authorized())
    town.clock.now -= 3600
    assert (await two.issue(authorized())).value == "theirs-2"


async def test_nothing_secret_is_in_the_database(town):
    one, store = await town.node()
    await one.issue(authorized())
    await store.close()
    written = b"".join(it.read_bytes() for it in town.folder.iterdir())
    for secret in ("theirs-1", "their-secret"):
        for form in forms(secret.encode()):
            assert form not in written
    await store.open()


@pytest.mark.parametrize("spoiled", [b"", b"\x01garbage", b"\x01" + bytes(40)])
async def test_what_somebody_else_put_there_is_not_believed(town, spoiled):
    (one, store), (two, _) = await town.node(), await town.node()
    await one.issue(authorized())
    (place,) = await store.shelf.keys(SHELF)
    await store.shelf.put(place, spoiled, until=None)
    assert (await two.issue(authorized())).value == "theirs-2"


async def test_a_token_moved_to_another_place_is_not_believed(town):
    (one, store), (two, _) = await town.node(), await town.node()
    await one.issue(authorized("a b"))
    (wide,) = await store.shelf.keys(SHELF)
    narrow = two.sharing.place(authorized("a").scope.tokens)
    await store.shelf.put(narrow, await store.shelf.get(wide), until=None)
    assert (await two.issue(authorized("a"))).value == "theirs-2"


# ── trouble ──


async def test_a_failure_is_not_shared_and_the_next_process_asks(town):
    (one, _), (two, _) = await town.node(), await town.node()
    town.upstream.answers.append(says(400))
    with pytest.raises(TemporarilyUnavailable):
        await one.issue(authorized())
    assert (await two.issue(authorized())).value == "theirs-1"


async def test_one_who_dies_while_asking_is_followed_by_another(town, monkeypatch):
    monkeypatch.setattr(sharing, "LEASE", 0.3)
    (one, store), (two, _) = await town.node(), await town.node()
    place = one.sharing.place(authorized().scope.tokens)
    assert await store.leases.hold(place, until=town.clock() + 0.3)  # and that was the last of it
    waiting = asyncio.create_task(two.issue(authorized()))
    await asyncio.sleep(0.2)
    assert not town.upstream.questions
    town.clock.now += 0.31
    assert (await waiting).value == "theirs-1"


async def test_one_who_asks_for_long_keeps_its_turn(town, monkeypatch):
    monkeypatch.setattr(sharing, "LEASE", 0.3)
    (one, _), (two, _) = await town.node(), await town.node()
    town.upstream.always = token(wait=1)

    async def time_passes():
        while True:
            await asyncio.sleep(0.05)
            town.clock.now += 0.05

    passing = asyncio.create_task(time_passes())
    got = await asyncio.gather(one.issue(authorized()), two.issue(authorized()))
    passing.cancel()
    assert {it.value for it in got} == {"theirs-1"}
    assert len(town.upstream.questions) == 1


async def test_nobody_waits_for_another_longer_than_for_the_upstream(town):
    (one, _), (two, _) = await town.node(), await town.node()
    two.deadline = 0.3
    town.upstream.always = silent
    asking = asyncio.create_task(one.issue(authorized()))
    await until(lambda: town.upstream.questions)
    with pytest.raises(TemporarilyUnavailable) as refused:
        await two.issue(authorized())
    assert refused.value.detail == "another process asks, and has no answer yet"
    assert len(town.upstream.questions) == 1
    await one.close()
    with pytest.raises(TemporarilyUnavailable):
        await asking


@contextmanager
def locked(folder):
    with closing(sqlite3.connect(folder / "t.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


async def test_while_the_store_is_locked_each_asks_by_itself_and_soon(town, monkeypatch):
    monkeypatch.setattr(sharing, "TO_ANSWER", 0.5)
    (one, _), (two, _) = await town.node(), await town.node()
    with locked(town.folder):
        async with asyncio.timeout(5):
            assert (await one.issue(authorized())).value == "theirs-1"
            assert (await two.issue(authorized())).value == "theirs-2"
        async with asyncio.timeout(0.4):  # and does not try the store every time
            assert (await one.issue(authorized("other"))).value == "theirs-3"


class Gone:
    """A store that is not there."""

    def __getattr__(self, _):
        async def gone(*_, **__):
            raise StoreUnavailable("gone")

        return gone


@pytest.mark.parametrize("what", ["shelf", "leases"])
async def test_without_a_store_tokens_go_on(town, what):
    one, _ = await town.node()
    setattr(one.sharing, what, Gone())
    assert (await one.issue(authorized())).value == "theirs-1"
    assert (await one.issue(authorized("other"))).value == "theirs-2"


# ── forgetting ──


async def test_what_is_forgotten_is_asked_for_anew_by_all(town):
    (one, store), (two, other) = await town.node(), await town.node()
    first = await one.issue(authorized())
    assert await two.issue(authorized()) == first
    watching = [
        Forgetting(notes=it.shelf, brokers={"itwin": broker})
        for broker, it in ((one, store), (two, other))
    ]
    town.clock.now += 10
    await forget(["itwin"], notes=store.shelf, at=town.clock())
    town.clock.now += 1
    assert await one.issue(authorized()) == first, "nobody has looked yet"
    for it in watching:
        await it.look()
    second = await one.issue(authorized())
    assert second.value == "theirs-2", "although the first is on the shelf still"
    assert await two.issue(authorized()) == second
    for it in watching:
        await it.look()
    assert await one.issue(authorized()) == second, "once is enough"


async def test_another_token_is_not_forgotten_with_it(town):
    one, store = await town.node()
    first = await one.issue(authorized())
    watching = Forgetting(notes=store.shelf, brokers={"itwin": one})
    await forget(["other", "itwin2", ""], notes=store.shelf, at=town.clock() + 1)
    await watching.look()
    assert await one.issue(authorized()) == first


async def test_whoever_starts_later_does_not_believe_it_either(town):
    one, store = await town.node()
    await one.issue(authorized())
    await forget(["itwin"], notes=store.shelf, at=town.clock() + 1)
    town.clock.now += 2
    two, other = await town.node()
    watching = Forgetting(notes=other.shelf, brokers={"itwin": two})
    await watching.open()
    assert (await two.issue(authorized())).value == "theirs-2"
    await watching.close()


async def test_processes_look_by_themselves_and_survive_a_store_that_is_gone(town, monkeypatch):
    monkeypatch.setattr(forgetting, "EVERY", 0.01)
    one, store = await town.node()
    await one.issue(authorized())
    watching = Forgetting(notes=Gone(), brokers={"itwin": one})
    await watching.open()
    await asyncio.sleep(0.05)
    watching.notes = store.shelf
    await forget(["itwin"], notes=store.shelf, at=town.clock() + 1)
    await until(lambda: not one._held)
    assert (await one.issue(authorized("other"))).value == "theirs-2"
    await watching.close()


async def test_a_question_under_way_while_it_is_forgotten_is_not_remembered(town):
    one, _ = await town.node()
    town.upstream.always = token(wait=0.2)
    asking = asyncio.create_task(one.issue(authorized()))
    await until(lambda: town.upstream.questions)
    one.forget(town.clock() + 1)
    assert (await asking).value == "theirs-1"
    town.clock.now += 2
    assert (await one.issue(authorized())).value == "theirs-2"


# ── names ──


@dataclass(frozen=True)
class Key:
    a: object
    b: object = ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        ("1", 1),
        (1, True),
        (0, False),
        (1, 1.0),
        ("a", b"a"),
        (("a",), "a"),
        (("a", "b"), frozenset({"a", "b"})),
        (frozenset({"ab"}), frozenset({"a", "b"})),
        (Key("a", "b"), Key("b", "a")),
        (Key("a"), ("a", "")),
        ({"a": "b"}, {"b": "a"}),
        (None, "None"),
    ],
)
def test_what_is_different_has_different_names(one, other):
    assert canonical(one) != canonical(other)


def test_what_is_the_same_has_the_same_name_in_whatever_order():
    many = [str(n) for n in range(100)]
    assert canonical(frozenset(many)) == canonical(frozenset(reversed(many)))
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    it = ClientCredentials(token_endpoint="https://x.example.com", client_id="a", client_secret="b")
    assert canonical(it) == canonical(replace(it))


@pytest.mark.parametrize("nameless", [object(), (object(),), Key, lambda: 0])
def test_what_has_no_name_everywhere_is_not_shared(nameless):
    with pytest.raises(TypeError):
        canonical(nameless)
