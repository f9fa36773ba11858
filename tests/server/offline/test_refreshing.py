"""A refresh token that changes with each answer: one process shows it, and nothing is ever lost."""

import asyncio
import math
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from tests.leaks import forms
from tests.rotating import Platform, rotates
from tests.server.stores import kinds
from tests.servers import until
from tests.upstream import THEIRS, dripping, endless, hangs_up, not_http, says, silent
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.oauth.messages import TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import open_async_client
from tokenward.server import broker as broker_module
from tokenward.server.broker import Broker
from tokenward.server.model import NOBODY, Authorization, Caller, Grant
from tokenward.server.offline import SHELF, Whose, refreshing, turns
from tokenward.server.offline.refreshing import Refreshing
from tokenward.server.offline.safe import Safe, reseal
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import StoreUnavailable, open_store
from tokenward.server.upstreams.refresh_token import RefreshToken

KEY = bytes(range(32))
ALL = Whose("calendar")


def authorized(scope="read"):
    caller = Caller(name="mobile", subject="mobile|ann")
    grant = Grant(caller=caller, client=NOBODY, grant_type=TOKEN_EXCHANGE)
    return Authorization(
        grant=grant, token="calendar", scope=Scope.parse(scope), lifetime=math.inf, rule="r"
    )


class Hour:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@dataclass
class Node:
    """One process, as far as it knows."""

    broker: Broker
    store: object
    safe: Safe

    async def token(self, scope="read"):
        return (await self.broker.issue(authorized(scope))).value

    async def refused(self, scope="read"):
        with pytest.raises(TemporarilyUnavailable) as refused:
            await self.broker.issue(authorized(scope))
        assert THEIRS not in refused.value.detail + refused.value.description
        assert "refresh-" not in refused.value.detail
        return refused.value

    async def kept(self):
        return (await self.safe.look(ALL)).kept


@dataclass
class Town:
    """Several processes: each has its own store, and all of those are one."""

    url: str
    stack: AsyncExitStack
    platform: Platform
    clock: Hour = field(default_factory=Hour)
    first: str = ""

    async def node(self, *, key=KEY, **changes):
        store = open_store(self.url, self.clock)
        await store.open()
        self.stack.push_async_callback(store.close)
        settings = {
            "token_endpoint": self.platform.token_endpoint,
            "client_id": "us",
            "client_secret": "their-secret",
            "refresh_token": self.first,
        }
        theirs = RefreshToken(**settings | changes)
        http = await self.stack.enter_async_context(open_async_client())
        safe = Safe(shelf=store.shelf, seal=lambda: Seal.of(key), clock=self.clock)
        share = Refreshing(
            token="calendar",
            upstream=theirs,
            safe=safe,
            leases=store.leases,
            http=http,
            clock=self.clock,
            ticks=self.clock,
        )
        broker = Broker(
            upstream=theirs, http=http, clock=self.clock, ticks=self.clock, sharing=share
        )
        self.stack.push_async_callback(broker.close)
        return Node(broker, store, safe)


@pytest.fixture
async def town(tmp_path):
    async with AsyncExitStack() as stack:
        platform = stack.enter_context(Platform())
        url = f"sqlite://{tmp_path}/t.db"
        town = Town(url, stack, platform, first=platform.begin())
        yield town
        assert platform.thefts == platform.overlaps == 0 or platform.strict


# ── one at a time ──


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_hundred_in_two_processes_are_one_refresh(town, kind, request, tmp_path):
    if kind == "postgresql":
        database = request.getfixturevalue("postgresql").fresh()
        kinds.postgresql(database).make(tmp_path, time.time)
        town.url = kinds.in_schema(database, kinds.schema(tmp_path))
    one, two = await town.node(), await town.node()
    town.platform.always = rotates(wait=0.3)
    got = await asyncio.gather(*(it.token() for _ in range(50) for it in (one, two)))
    assert set(got) == {"theirs-1"}
    assert town.platform.shown == [town.first]
    assert (await one.kept()).refresh_token == town.platform.families[0].live
    for round in range(2, 5):
        town.clock.now += 3500
        got = await asyncio.gather(*(it.token() for _ in range(50) for it in (one, two)))
        assert set(got) == {f"theirs-{round}"}
    assert len(town.platform.shown) == 4
    assert len(set(town.platform.shown)) == 4, "each was shown once"


async def test_different_scopes_at_once_show_one_after_the_other(town):
    one, two = await town.node(), await town.node()
    town.platform.always = rotates(wait=0.1)
    asked = [it.token(scope) for scope in "abcd" for it in (one, two)]
    got = await asyncio.gather(*asked)
    assert len(set(got)) == 4
    assert len(set(town.platform.shown)) == len(town.platform.shown) == 4
    assert [it.form["scope"] for it in town.platform.questions] != []


async def test_what_is_warm_reads_and_writes_nothing_and_what_is_cold_little(town):
    one, two = await town.node(), await town.node()
    await one.token()
    cold = one.store.counts
    # Is it there? my turn; is it there now? the first one; what came of it; done.
    assert (cold.reads, cold.writes) == (2, 4)
    for _ in range(100):
        await one.token()
    assert one.store.counts == cold
    await two.token()
    assert (two.store.counts.reads, two.store.counts.writes) == (1, 0)


async def test_it_is_asked_for_ahead_of_its_end_and_the_old_one_goes_on_meanwhile(town):
    one = await town.node()
    assert await one.token() == "theirs-1"
    town.clock.now += 3250
    town.platform.always = rotates(wait=0.2)
    assert await one.token() == "theirs-1"
    await until(lambda: town.platform.given == 2)
    await until(lambda: not one.broker._asking)
    assert await one.token() == "theirs-2"
    assert len(town.platform.shown) == 2


async def test_two_at_the_same_time_stay_in_line_where_the_lease_ends_too_early(town, monkeypatch):
    monkeypatch.setattr(refreshing, "LEASE", 1.5)
    one, two = await town.node(), await town.node()
    town.platform.always = rotates(wait=2.5)

    async def time_passes():
        while True:
            await asyncio.sleep(0.05)
            town.clock.now += 0.05

    passing = asyncio.create_task(time_passes())
    got = await asyncio.gather(one.token(), two.token())
    passing.cancel()
    assert set(got) == {"theirs-1"}
    assert len(town.platform.shown) == 1


# ── kept before it is told ──


async def test_what_is_newest_survives_a_restart(town):
    one = await town.node()
    await one.token()
    await one.token("b")
    newest = town.platform.families[0].live
    await one.broker.close()
    await one.store.close()
    two = await town.node()
    assert (await two.token(), await two.token("b")) == ("theirs-1", "theirs-2")
    assert len(town.platform.shown) == 2, "nothing was asked again"
    town.clock.now += 3500
    await two.token()
    assert town.platform.shown[-1] == newest


async def test_the_successor_is_kept_before_anybody_has_the_token(town, monkeypatch):
    one = await town.node()
    seen = []
    change = Safe.change

    async def slowly(self, seen_now, kept):
        await asyncio.sleep(0.2)
        seen.append(len(done))
        return await change(self, seen_now, kept)

    monkeypatch.setattr(Safe, "change", slowly)
    done = []
    asking = asyncio.create_task(one.token())
    asking.add_done_callback(done.append)
    await asking
    assert seen == [0]


class Away:
    """A shelf that is not there for what changes something, for a while."""

    def __init__(self, shelf, times, *, done=False):
        self.shelf, self.times, self.done = shelf, times, done

    def __getattr__(self, name):
        return getattr(self.shelf, name)

    async def swap(self, *what, **how):
        if self.times:
            self.times -= 1
            if self.done:
                await self.shelf.swap(*what, **how)
            raise StoreUnavailable("gone")
        return await self.shelf.swap(*what, **how)


@pytest.mark.parametrize("done", [False, True])
async def test_a_store_that_is_away_for_a_moment_loses_nothing(town, done):
    one = await town.node()
    object.__setattr__(one.safe, "shelf", Away(one.store.shelf, 2, done=done))
    assert await one.token() == "theirs-1"
    assert (await one.kept()).refresh_token == town.platform.families[0].live


async def test_an_answer_that_comes_too_late_for_whoever_asked_is_kept(town):
    one = await town.node()
    one.broker._upstream.patience.deadline = one.broker.deadline = 0.4
    object.__setattr__(one.safe, "shelf", Away(one.store.shelf, 4))
    await one.refused()
    await until(lambda: not one.broker.sharing._ending)
    assert await one.token() == "theirs-1"
    assert town.platform.shown == [town.first]


async def test_an_answer_on_its_way_when_the_server_stops_is_kept(town):
    one = await town.node()
    town.platform.always = rotates(wait=0.4)
    asking = asyncio.create_task(one.broker.issue(authorized()))
    await until(lambda: town.platform.shown)
    await one.broker.close()
    newest = (await one.kept()).refresh_token
    assert newest == town.platform.families[0].live != town.first
    with pytest.raises(TemporarilyUnavailable):
        await asking
    assert await (await town.node()).token() == "theirs-1"


async def test_a_platform_that_does_not_answer_does_not_keep_a_server_from_stopping(
    town, monkeypatch
):
    monkeypatch.setattr(refreshing, "FAREWELL", 0.1)
    one = await town.node()
    town.platform.always = silent
    tasks = asyncio.all_tasks()
    asking = asyncio.create_task(one.broker.issue(authorized()))
    await until(lambda: town.platform.shown)
    async with asyncio.timeout(2):
        await one.broker.close()
    with pytest.raises(TemporarilyUnavailable):
        await asking
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - tasks == set()
    assert (await one.kept()).refresh_token == town.first


async def test_nothing_secret_is_in_the_database(town, tmp_path):
    one = await town.node()
    await one.token()
    await one.store.close()
    written = b"".join(it.read_bytes() for it in tmp_path.iterdir())
    assert SHELF.encode() in written
    for secret in (town.first, *town.platform.families[0].all, "theirs-1", "their-secret"):
        for form in forms(secret.encode()):
            assert form not in written
    for said in (repr(one.broker), repr(await town_kept(town)), repr(one.broker.sharing)):
        assert "refresh-" not in said
        assert "theirs-" not in said


async def town_kept(town):
    node = await town.node()
    return await node.safe.look(ALL)


# ── answers that do not arrive ──


@pytest.mark.parametrize(
    "lost",
    [
        rotates(lost=True),
        hangs_up,
        not_http,
        says(500, THEIRS),
        says(502, "<html>" + THEIRS),
        says(503, THEIRS, Retry_After="1"),
        says(429, '{"error": "invalid_grant"}'),
        says(500, '{"error": "invalid_grant"}'),
        says(408, '{"error": "invalid_grant"}'),
    ],
)
async def test_the_same_one_is_shown_again_where_an_answer_was_lost(town, lost):
    one = await town.node()
    town.platform.answers.append(lost)
    assert await one.token() == "theirs-1"
    assert town.platform.shown == [town.first, town.first]
    assert not (await one.kept()).ended


@pytest.mark.parametrize(
    "bad",
    [
        silent,
        dripping,
        endless,
        says(200, "<html>" + THEIRS, Content_Type="text/html"),
        says(200, '{"access_token": "'),
        says(200, "[]"),
        says(302, "", Location="/elsewhere"),
        says(400, "invalid_grant"),
        says(400, '["invalid_grant"]'),
        says(400, '{"error": "invalid_request"}'),
        says(400, '{"error": "invalid_scope"}'),
        says(401, '{"error": "invalid_client"}'),
        says(403, '{"error": "access_denied"}'),
        says(404, "<html>" + THEIRS),
        says(400, '{"error": "Invalid_Grant"}'),
        says(400, '{"error": {"code": "invalid_grant"}}'),
        says(500, '{"error": "invalid_grant"}'),
        says(200, '{"error": "invalid_grant"}'),
    ],
)
async def test_whatever_a_platform_in_trouble_says_does_not_end_the_grant(town, bad):
    one = await town.node()
    one.broker._upstream.patience.deadline = one.broker.deadline = 0.4
    town.platform.always = bad
    await one.refused()
    assert set(town.platform.shown) == {town.first}
    kept = await one.kept()
    assert (kept.ended, kept.refresh_token) == (0.0, town.first)
    town.platform.always = rotates()
    one.broker._upstream.patience.deadline = one.broker.deadline = 10
    town.clock.now += 60
    await until(lambda: not one.broker.sharing._ending)
    assert await one.token() == "theirs-1"
    town.platform.overlaps = 0  # it goes on answering nobody


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": None},
        {"access_token": "a b"},
        {"token_type": "mac"},
        {"expires_in": "soon"},
        {"expires_in": -5},
        {"scope": "read write"},
        {"scope": 7},
    ],
)
async def test_a_new_refresh_token_beside_a_useless_access_token_is_kept(town, changes):
    one = await town.node()
    town.platform.answers.append(rotates(**changes))
    await one.refused()
    assert (await one.kept()).refresh_token == town.platform.families[0].live != town.first
    town.clock.now += 60
    assert await one.token() == "theirs-2"


@pytest.mark.parametrize(
    "changes",
    [{"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": 7}, {"refresh_token": "é"}],
)
async def test_without_a_new_one_that_can_be_read_the_old_one_stays(town, changes):
    one = await town.node()
    town.platform.always = rotates(keep=True, **changes)
    assert await one.token() == "theirs-1"
    town.clock.now += 3500
    assert await one.token() == "theirs-2"
    assert town.platform.shown == [town.first] * 2


# ── the end ──


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_grant_that_has_ended_is_not_asked_about_again(town, status, caplog):
    one, two = await town.node(), await town.node()
    town.platform.always = says(status, '{"error": "invalid_grant", "error_description": "x"}')
    refused = await one.refused()
    assert "configure another refresh_token" in refused.detail
    assert refused.retry_after == 300
    assert "the platform has ended a stored grant" in caplog.text
    for node in (one, two, await town.node()):
        for _ in range(3):
            town.clock.now += 3600
            await node.refused()
            await node.refused("b")
    assert len(town.platform.shown) == 1
    kept = await one.kept()
    assert kept.ended
    assert (kept.refresh_token, kept.tokens) == ("", {}), "no secret is left"


async def test_a_token_that_is_alive_goes_on_to_its_end(town):
    one = await town.node()
    await one.token()
    town.platform.end()
    town.clock.now += 3300
    assert await one.token() == "theirs-1"
    town.clock.now += 300
    await one.refused()


async def test_where_a_strict_platform_ends_a_grant_of_which_an_answer_was_lost_it_is_over(town):
    town.platform.strict = True
    one = await town.node()
    town.platform.answers.append(rotates(lost=True))
    await one.refused()
    assert (await one.kept()).ended


# ── the configuration ──


async def test_another_configured_one_takes_the_place_of_all_before(town):
    one = await town.node()
    await one.token()
    second = town.platform.begin()
    two = await town.node(refresh_token=second)
    assert await two.token() == "theirs-2"
    assert town.platform.shown == [town.first, second]


async def test_whoever_knows_only_the_configuration_before_does_not_bring_it_back(town):
    one = await town.node()
    await one.token()
    second = town.platform.begin()
    two = await town.node(refresh_token=second)
    await two.token()
    for _ in range(3):
        town.clock.now += 3500
        assert await one.token() == await two.token()
    assert town.platform.shown.count(town.first) == 1
    assert town.platform.shown.count(second) == 1


async def test_a_new_one_makes_good_what_has_ended_and_what_has_ended_stays_so(town):
    one = await town.node()
    town.platform.end()
    await one.refused()
    second = town.platform.begin()
    two = await town.node(refresh_token=second)
    assert await two.token() == "theirs-1"
    assert await one.token() == "theirs-1", "they are of one configuration soon"
    town.platform.end()
    town.clock.now += 3600
    shown = len(town.platform.shown)
    await two.refused()
    for _ in range(3):
        await one.refused()
        await two.refused()
    assert len(town.platform.shown) == shown + 1


async def test_one_that_was_replaced_comes_back_where_the_other_has_ended(town):
    one = await town.node()
    town.platform.always = rotates(keep=True)
    await one.token()
    two = await town.node(refresh_token="a-mistake-of-somebodys")
    town.platform.answers.append(says(400, '{"error": "invalid_grant"}'))
    await two.refused()
    town.clock.now += 3600
    assert await one.token() == "theirs-2"
    await two.broker.close()
    assert await (await town.node(refresh_token="a-mistake-of-somebodys")).token() == "theirs-2"


@pytest.mark.parametrize(
    "changes",
    [{"client_secret": "another"}, {"client_id": "we"}, {"audience": "api"}, {"resource": "a:b"}],
)
async def test_whoever_changes_a_setting_gets_no_old_token_and_keeps_the_grant(town, changes):
    one, two = await town.node(), await town.node(**changes)
    assert await one.token() == "theirs-1"
    assert await two.token() == "theirs-2"
    assert town.platform.shown[0] == town.first
    assert len(set(town.platform.shown)) == 2


# ── trouble ──


async def test_without_a_store_nothing_is_asked(town):
    one = await town.node()
    object.__setattr__(one.broker.sharing, "leases", Gone())
    await one.refused()
    assert town.platform.shown == []


class Gone:
    """A store that is not there."""

    def __getattr__(self, _):
        async def gone(*_, **__):
            raise StoreUnavailable("gone")

        return gone


async def test_with_another_encryption_key_nothing_is_asked_and_nothing_lost(town):
    one = await town.node()
    await one.token()
    two = await town.node(key=bytes(32))
    assert "sealed with another encryption key" in (await two.refused()).detail
    assert len(town.platform.shown) == 1
    assert (await one.kept()).refresh_token == town.platform.families[0].live


async def test_a_grant_is_sealed_anew_while_it_is_used(town):
    one = await town.node()
    await one.token()
    new = bytes(32)
    seal = Seal.of(new, KEY)
    assert await reseal(one.store.shelf, seal) == 1
    assert await reseal(one.store.shelf, seal) == 0
    two = await town.node(key=new)
    assert await two.token() == "theirs-1"
    with pytest.raises(SealBroken):
        Seal.of(KEY).open(await one.store.shelf.get(ALL.place), ALL.place)


async def test_one_sealed_anew_during_a_question_is_still_changed_by_it(town):
    one = await town.node()
    await one.token()
    hold = threading.Event()
    town.platform.always = rotates(hold=hold)
    town.clock.now += 3600
    asking = asyncio.create_task(one.token())
    await until(lambda: len(town.platform.shown) == 2)
    seal = Seal.of(bytes(32), KEY)
    object.__setattr__(one.safe, "seal", lambda: seal)
    assert await reseal(one.store.shelf, seal) == 1
    hold.set()
    assert await asking == "theirs-2"
    assert (await one.kept()).refresh_token == town.platform.families[0].live


async def test_whoever_lost_its_turn_does_not_undo_what_a_later_one_has_done(town):
    one, two = await town.node(), await town.node()
    await one.token()
    hold = threading.Event()
    town.platform.answers.append(rotates(hold=hold))
    town.clock.now += 3600
    asking = asyncio.create_task(one.broker.issue(authorized()))
    await until(lambda: len(town.platform.shown) == 2)
    one.broker.sharing._turns  # noqa: B018 - it is under way
    [turn] = one.broker.sharing._turns.values()
    turn.renewing.cancel()  # as if it stood still
    town.clock.now += refreshing.LEASE
    later = await two.token()
    newest = (await two.kept()).refresh_token
    hold.set()
    with pytest.raises(TemporarilyUnavailable):
        await asking
    assert (await one.kept()).refresh_token == newest == town.platform.families[0].live
    assert await one.token() == later
    town.platform.overlaps = 0  # that was the point


async def test_whoever_has_lost_its_turn_before_it_asks_does_not_ask(town, monkeypatch):
    one = await town.node()
    await one.token()
    ask = broker_module.Broker._usable

    def slowly(self, *what):
        town.clock.now += refreshing.LEASE
        return ask(self, *what)

    town.clock.now += 3600
    monkeypatch.setattr(broker_module.Broker, "_usable", slowly)
    await one.refused()
    assert len(town.platform.shown) == 1


async def test_one_who_dies_while_asking_is_followed_by_another(town):
    one = await town.node()
    assert await one.store.leases.hold(ALL.place, until=town.clock() + refreshing.LEASE)
    waiting = asyncio.create_task(one.token())
    await asyncio.sleep(0.2)
    assert town.platform.shown == []
    town.clock.now += refreshing.LEASE
    assert await waiting == "theirs-1"


async def test_a_crowd_that_leaves_does_not_take_the_answer_with_it(town):
    one = await town.node()
    town.platform.always = rotates(wait=0.3)
    crowd = [asyncio.create_task(one.token()) for _ in range(10)]
    await until(lambda: town.platform.shown)
    for task in crowd:
        task.cancel()
    assert await one.token() == "theirs-1"
    assert town.platform.shown == [town.first]


async def test_a_platform_that_is_down_is_left_alone_after_a_while(town):
    one = await town.node()
    town.platform.always = says(503, THEIRS)
    for _ in range(8):
        await one.refused()
    assert one.broker.state == "open"
    asked = len(town.platform.shown)
    await one.refused()
    assert len(town.platform.shown) == asked
    assert not (await one.kept()).ended
    assert turns.MARGIN < refreshing.LEASE
