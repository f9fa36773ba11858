"""The accounts that people connect: for one app each, used, listed, and gone when they are gone."""

import asyncio
import math
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest

from tests.rotating import Platform, rotates
from tests.servers import until
from tests.upstream import THEIRS, hangs_up, says
from tokenward.client.lasting import Lasting
from tokenward.oauth.errors import InteractionRequired, TemporarilyUnavailable
from tokenward.oauth.messages import TOKEN_EXCHANGE, AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import open_async_client
from tokenward.server.model import NOBODY, Authorization, Caller, Client, Grant
from tokenward.server.offline import SHELF, Whose
from tokenward.server.offline.safe import ENDED, reseal
from tokenward.server.registration import Registration
from tokenward.server.seal import Seal
from tokenward.server.settings import TokenSettings
from tokenward.server.stores import open_store
from tokenward.server.theirs import Theirs
from tokenward.server.upstreams.refresh_token import RefreshToken

APP = Client(id="app", grant_types=frozenset({TOKEN_EXCHANGE}))
READ, BOTH = Scope.parse("read"), Scope.parse("read write")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfPeople(Registration):
    """An upstream whose grants people bring."""

    revocation_endpoint: str = ""
    refresh_token: ClassVar[str] = ""
    refreshed = RefreshToken.refreshed
    revoked = RefreshToken.revoked
    flow = RefreshToken.flow
    shared_by = RefreshToken.shared_by


def authorized(subject="mobile|ann", client=APP, scope=READ, token="calendar", **claims):
    caller = Caller(name="mobile", subject=subject, claims=claims)
    grant = Grant(caller=caller, client=client, grant_type=TOKEN_EXCHANGE)
    return Authorization(grant=grant, token=token, scope=scope, lifetime=math.inf, rule="r")


def whose(authorization):
    return Whose.of(authorization.grant, authorization.token)


ANN = whose(authorized())


class Hour:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@dataclass
class Node:
    theirs: Theirs
    source: object

    @property
    def people(self):
        return self.theirs.people

    async def token(self, *who, **asked):
        return (await self.source.issue(authorized(*who, **asked))).value

    async def refused(self, *who, **asked):
        with pytest.raises(InteractionRequired) as refused:
            await self.source.issue(authorized(*who, **asked))
        return refused.value


@dataclass
class Town:
    folder: object
    stack: AsyncExitStack
    platform: Platform
    clock: Hour = field(default_factory=Hour)

    async def node(self, **changes):
        store = open_store(f"sqlite://{self.folder}/t.db", self.clock)
        await store.open()
        self.stack.push_async_callback(store.close)
        theirs = Theirs(
            store=store,
            cache=store.shelf,
            connect=lambda _, __: open_async_client(),
            clock=self.clock,
            seal=lambda: Seal.of(bytes(32)),
        )
        settings = {
            "token_endpoint": self.platform.token_endpoint,
            "client_id": "us",
            "client_secret": "s" * 20,
            "revocation_endpoint": f"{self.platform.url}/revoke",
        }
        upstream = OfPeople(**settings | changes)
        scopes = {"read": "", "write": ""}
        token = TokenSettings(name="calendar", scopes=scopes, upstream=upstream)
        node = Node(theirs, theirs.source(token, upstream))
        self.stack.push_async_callback(theirs.close)
        return node

    async def connected(self, node, *, whose=ANN, scope=BOTH, account="ann@example.com", **given):
        first = self.platform.begin()
        given = Lasting(token=None, refresh_token=first, **given)
        await node.people.put(whose, given, scope=scope, account=account)
        return first


@pytest.fixture
async def town(tmp_path):
    async with AsyncExitStack() as stack:
        yield Town(tmp_path, stack, stack.enter_context(Platform()))


async def test_an_account_gives_tokens_for_as_long_as_it_is_connected(town):
    one, two = await town.node(), await town.node()
    said = await one.refused()
    assert said.error == "interaction_required"
    await town.connected(one)
    assert await one.token() == await two.token() == "theirs-1"
    town.clock.now += 3500
    assert await two.token() == await one.token() == "theirs-2"
    assert len(town.platform.shown) == 2
    assert await one.people.remove(ANN) == "revoked"
    for node in (one, two):
        await node.refused()
    assert len(town.platform.shown) == 2
    assert town.platform.revoked == [town.platform.families[0].live]


async def test_the_token_that_came_with_it_is_used_first(town):
    one = await town.node()
    first = town.platform.begin()
    token = AccessToken(value="came-with-it", expires_at=town.clock() + 3600, scope=READ)
    await one.people.put(ANN, Lasting(token=token, refresh_token=first), scope=BOTH)
    assert await one.token() == "came-with-it"
    assert town.platform.shown == []
    assert await one.token(scope=BOTH) == "theirs-1", "it was not asked for with that scope"


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "mobile|bob"},
        {"subject": "mobile|an"},
        {"subject": "ann"},
        {"client": replace(APP, id="other")},
        {"client": NOBODY},
        {"client": replace(APP, public=True)},
        {"client": NOBODY, "azp": "app"},
    ],
)
async def test_nobody_else_and_no_other_app_rides_on_it(town, other):
    one = await town.node()
    await town.connected(one)
    await one.refused(**other)
    assert town.platform.shown == []
    assert await one.people.status(whose(authorized(**other))) is None
    assert await one.people.remove(whose(authorized(**other))) is None
    assert await one.token() == "theirs-1"


async def test_two_apps_of_one_person_have_grants_of_their_own(town):
    one = await town.node()
    other = whose(authorized(client=replace(APP, id="other")))
    await town.connected(one)
    second = await town.connected(one, whose=other)
    assert await one.token() != await one.token(client=replace(APP, id="other"))
    assert second in town.platform.shown
    assert {it.whose for it in await one.people.of("mobile|ann")} == {ANN, other}
    await one.people.remove(other)
    assert [it.whose for it in await one.people.of("mobile|ann")] == [ANN]
    assert await one.token() == "theirs-1"


async def test_status_says_what_there_is(town):
    one = await town.node()
    assert await one.people.status(ANN) is None
    await town.connected(one)
    status = await one.people.status(ANN)
    assert (status.whose, status.account, status.scope) == (ANN, "ann@example.com", BOTH)
    assert (status.since, status.refreshed, status.ended) == (town.clock(), 0.0, 0.0)
    town.clock.now += 10
    await one.token()
    assert (await one.people.status(ANN)).refreshed == town.clock()
    assert await one.people.of("mobile|ann") == [await one.people.status(ANN)]
    assert await one.people.of("mobile|an") == await one.people.of("") == []
    assert "refresh-" not in repr(status)


async def test_what_the_platform_has_ended_wants_to_be_connected_again(town):
    one, two = await town.node(), await town.node()
    await town.connected(one)
    await one.token()
    town.platform.end()
    town.clock.now += 3600
    for _ in range(3):
        for node in (one, two):
            said = await node.refused()
            assert "connect it again" in said.description
            assert THEIRS not in said.description + said.detail
    assert len(town.platform.shown) == 2
    assert (await one.people.status(ANN)).ended == town.clock()
    await town.connected(two)
    assert await one.token() == await two.token() == "theirs-2"
    assert (await one.people.status(ANN)).ended == 0


async def test_a_platform_in_trouble_is_503_and_ends_nothing(town):
    one = await town.node()
    await town.connected(one)
    town.platform.always = says(500, '{"error": "invalid_grant"}')
    with pytest.raises(TemporarilyUnavailable):
        await one.token()
    assert not (await one.people.status(ANN)).ended


async def test_more_than_the_person_agreed_to_wants_to_be_connected_again(town):
    one = await town.node()
    await town.connected(one, scope=READ)
    said = await one.refused(scope=BOTH)
    assert said.detail == "the account was connected without write"
    assert town.platform.shown == []
    assert await one.token() == "theirs-1"


async def test_another_account_instead_gives_no_token_of_the_one_before(town):
    one, two = await town.node(), await town.node()
    await town.connected(one)
    assert await one.token() == await two.token() == "theirs-1"
    second = await town.connected(one, account="other@example.com")
    assert await two.token() == await one.token() == "theirs-2"
    assert town.platform.shown[-1] == second
    assert town.platform.revoked == [], "platforms would take the new one for the same"


async def test_what_has_ended_is_seen_for_a_while(town):
    one = await town.node()
    await town.connected(one)
    town.platform.end()
    await one.refused()
    town.clock.now += ENDED - 1
    assert (await one.people.status(ANN)).ended
    assert await reseal(one.theirs.store.shelf, Seal.of(bytes(range(32)), bytes(32))) == 1
    town.clock.now += 1
    assert await one.theirs.store.shelf.keys(SHELF) == []
    assert "no account" in (await one.refused()).detail


async def test_whoever_disconnects_again_and_again_closes_the_platform_to_nobody(town):
    one = await town.node()
    for _ in range(7):
        await town.connected(one)
        hold = threading.Event()
        town.platform.answers.append(rotates(hold=hold))
        asking = asyncio.create_task(one.source.issue(authorized()))
        shown = len(town.platform.shown)
        await until(lambda shown=shown: len(town.platform.shown) > shown)
        await one.people.remove(ANN)
        hold.set()
        with pytest.raises((TemporarilyUnavailable, InteractionRequired)):
            await asking
    assert one.source.broker.state == "closed"


@pytest.mark.parametrize("again", [False, True])
async def test_removed_during_a_refresh_it_does_not_come_back(town, again):
    one = await town.node()
    await town.connected(one)
    hold = threading.Event()
    town.platform.answers.append(rotates(hold=hold))
    asking = asyncio.create_task(one.source.issue(authorized()))
    await until(lambda: town.platform.shown)
    assert await one.people.remove(ANN) == "revoked"
    second = await town.connected(one) if again else ""
    hold.set()
    with pytest.raises((TemporarilyUnavailable, InteractionRequired)):
        await asking
    if again:
        assert await one.token() == "theirs-2"
        assert town.platform.shown[-1] == second
        assert len(town.platform.revoked) == 1
    else:
        await one.refused()
        assert town.platform.families[0].live in town.platform.revoked, "nor the one on its way"


@pytest.mark.parametrize(
    ("answer", "said"), [(says(503), "failed"), (hangs_up, "failed"), (says(200), "revoked")]
)
async def test_a_platform_that_does_not_listen_changes_nothing_here(town, answer, said):
    one = await town.node()
    await town.connected(one)
    town.platform.answers.append(answer)
    assert await one.people.remove(ANN) == said
    await one.refused()
    assert await one.people.remove(ANN) is None


async def test_where_there_is_nowhere_to_revoke_it_is_forgotten(town):
    one = await town.node(revocation_endpoint="")
    await town.connected(one)
    assert await one.people.remove(ANN) == "nowhere"
    await one.refused()


@pytest.mark.parametrize("changes", [{"client_id": "we"}, {"token_endpoint": "https://x.example"}])
async def test_it_is_shown_only_where_it_came_from(town, changes):
    one, other = await town.node(), await town.node(**changes)
    await town.connected(one)
    await other.refused()
    assert await other.people.status(ANN) is None
    assert await other.people.remove(ANN) == "nowhere"
    assert town.platform.shown == town.platform.revoked == []


async def test_what_does_not_last_is_not_put(town):
    one = await town.node()
    token = AccessToken(value="a", expires_at=town.clock() + 3600)
    with pytest.raises(ValueError, match="no refresh token"):
        await one.people.put(ANN, Lasting(token=token), scope=READ)
    given = Lasting(token=token, refresh_token="r")
    with pytest.raises(LookupError):
        await one.people.put(Whose("other", "ann"), given, scope=READ)
    assert await one.people.of("mobile|ann") == []


async def test_nobody_reads_from_a_place_whose_it_is(town):
    one = await town.node()
    await town.connected(one)
    [place] = await one.theirs.store.shelf.keys(SHELF)
    assert place == ANN.place
    for part in ("ann", "app", "mobile"):
        assert part not in place.removeprefix(SHELF).replace("calendar", "")
    assert await one.token() == "theirs-1"


async def test_a_warm_token_costs_one_look(town):
    one = await town.node()
    await town.connected(one)
    await one.token()
    before = one.theirs.store.counts
    for _ in range(10):
        await one.token()
    after = one.theirs.store.counts
    assert (after.reads - before.reads, after.writes - before.writes) == (10, 0)
