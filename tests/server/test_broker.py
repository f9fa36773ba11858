"""Tokens of somebody else's: one question for a crowd, alive, no wider than authorized, in secret.

Over a real upstream on loopback. The hour is set, never waited for; only what takes real time
(a deadline, a retry) takes it here.
"""

import asyncio
import logging
import math
import time
from dataclasses import dataclass, replace

import httpx2
import pytest

from tests.servers import until
from tests.upstream import (
    THEIRS,
    Upstream,
    dripping,
    endless,
    hangs_up,
    not_http,
    says,
    silent,
    token,
)
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.oauth.messages import TOKEN_EXCHANGE, AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import open_async_client
from tokenward.server import breaker, patience
from tokenward.server.broker import Broker, Counters
from tokenward.server.model import NOBODY, Authorization, Caller, Grant
from tokenward.server.upstreams.client_credentials import ClientCredentials

SECRET = "s3cret-that/stays+here"
BEGIN = 1_800_000_000.0


class Hour:
    """Both clocks: the wall's, which anybody may set, and the one that only runs forward."""

    def __init__(self):
        self.wall, self.steady = BEGIN, 777.0

    def passes(self, seconds):
        self.wall += seconds
        self.steady += seconds


def authorized(scope="itwin-platform", subject="mobile|ann", name="itwin"):
    caller = Caller(name="mobile", subject=subject)
    grant = Grant(caller=caller, client=NOBODY, grant_type=TOKEN_EXCHANGE)
    return Authorization(
        grant=grant, token=name, scope=Scope.parse(scope), lifetime=math.inf, rule="r"
    )


ANN = authorized()


@pytest.fixture
def upstream():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def http():
    async with open_async_client() as http:
        yield http


@pytest.fixture
def hour():
    return Hour()


@pytest.fixture
def theirs(upstream):
    return ClientCredentials(
        token_endpoint=upstream.token_endpoint, client_id="us", client_secret=SECRET
    )


@pytest.fixture
async def make(theirs, http, hour):
    made = []

    def make(**settings):
        settings = {"upstream": theirs, **settings}
        broker = Broker(http=http, clock=lambda: hour.wall, ticks=lambda: hour.steady, **settings)
        made.append(broker)
        return broker

    yield make
    for broker in made:
        await broker.close()


@pytest.fixture
def broker(make):
    return make()


async def quiet(broker):
    """Until nothing is asked in the background any more."""
    while tasks := list(broker._asking.values()):
        await asyncio.wait(tasks)
        await asyncio.sleep(0)


def at_once(broker):
    """What is handed out without waiting for anything."""
    with pytest.raises(StopIteration) as done:
        broker.issue(ANN).send(None)
    return done.value.value


async def refused(broker, authorization=ANN):
    """No token; the caller hears only that, the operator why."""
    with pytest.raises(TemporarilyUnavailable) as caught:
        await broker.issue(authorization)
    error = caught.value
    assert error.to_json() == {
        "error": "temporarily_unavailable",
        "error_description": "the upstream gave no token",
    }
    assert error.detail
    for text in (error.detail, str(error), repr(error)):
        assert THEIRS not in text
        assert SECRET not in text
    assert 1 <= error.retry_after <= 300
    return error


# ── one token ──


async def test_a_token_is_asked_for_with_our_secret_and_handed_out(broker, upstream):
    got = await broker.issue(ANN)
    assert (got.value, got.expires_at, got.scope) == ("theirs-1", BEGIN + 3600, ANN.scope)
    (question,) = upstream.questions
    assert question.form == {"grant_type": "client_credentials", "scope": "itwin-platform"}
    assert question.headers["authorization"].startswith("Basic ")


async def test_it_is_remembered_and_shared_by_everybody_who_may_have_it(broker, upstream):
    first = await broker.issue(ANN)
    assert await broker.issue(authorized(subject="mobile|bob")) is first
    assert len(upstream.questions) == 1
    assert broker.counters == Counters(asked=1, fetched=1, served=2, avoided=1, errors=0)


async def test_a_token_in_memory_makes_nobody_wait(broker):
    first = await broker.issue(ANN)
    assert at_once(broker) is first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read", "write"),
        ("read", "Read"),
        ("read write", "readwrite"),
        ("read write", "read"),
        ("read", ""),
        ("a:b c", "a b:c"),
        ("('a',)", "a"),
    ],
)
async def test_another_scope_is_another_token(broker, upstream, one, other):
    first = await broker.issue(authorized(one))
    second = await broker.issue(authorized(other))
    assert first.value != second.value
    assert await broker.issue(authorized(one)) is first
    assert await broker.issue(authorized(other)) is second


async def test_the_same_scope_in_another_order_is_the_same_token(broker):
    assert await broker.issue(authorized("a b")) is await broker.issue(authorized("b  a"))


async def test_nothing_of_the_caller_reaches_the_upstream(broker, upstream):
    steering = authorized(subject="evil&client_id=x\r\nX-Evil: 1")
    await broker.issue(replace(steering, rule="&scope=admin"))
    (question,) = upstream.questions
    assert set(question.form) == {"grant_type", "scope"}
    assert "evil" not in repr(question)


async def test_no_more_than_so_many_tokens_are_remembered_and_the_stalest_goes(make, upstream):
    broker = make(most=3)
    for scope in ("a", "b", "c", "a", "d"):
        await broker.issue(authorized(scope))
    assert len(broker._held) == 3
    asked = len(upstream.questions)
    for scope in ("a", "c", "d"):
        await broker.issue(authorized(scope))
    assert len(upstream.questions) == asked
    await broker.issue(authorized("b"))
    assert len(upstream.questions) == asked + 1


# ── a crowd ──


async def test_a_crowd_of_a_thousand_asks_once(broker, upstream):
    upstream.always = token(wait=0.2)
    got = await asyncio.gather(*(broker.issue(authorized(subject=str(n))) for n in range(1_000)))
    assert {one.value for one in got} == {"theirs-1"}
    assert len(got) == 1_000
    assert len(upstream.questions) == 1
    assert broker.counters == Counters(asked=1, fetched=1, served=1_000, avoided=999)


async def test_a_crowd_hears_the_same_failure_and_the_next_caller_asks_anew(broker, upstream):
    upstream.always = says(401, '{"error": "invalid_client"}')
    heard = await asyncio.gather(*(broker.issue(ANN) for _ in range(50)), return_exceptions=True)
    assert {type(one) for one in heard} == {TemporarilyUnavailable}
    assert len({id(one) for one in heard}) == 50, "each raises an error of their own"
    assert len(upstream.questions) == 1
    upstream.always = token()
    assert (await broker.issue(ANN)).value == "theirs-1"


async def test_who_asked_first_may_leave_without_taking_the_question_along(broker, upstream):
    upstream.always = token(wait=0.2)
    first = asyncio.create_task(broker.issue(ANN))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(broker.issue(ANN)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    assert {one.value for one in await asyncio.gather(*others)} == {"theirs-1"}
    assert first.cancelled()
    assert len(upstream.questions) == 1


async def test_everybody_may_leave_and_the_answer_is_remembered(broker, upstream):
    upstream.always = token(wait=0.1)
    all_of_them = [asyncio.create_task(broker.issue(ANN)) for _ in range(3)]
    await asyncio.sleep(0.03)
    for one in all_of_them:
        one.cancel()
    await asyncio.gather(*all_of_them, return_exceptions=True)
    await quiet(broker)
    assert (await broker.issue(ANN)).value == "theirs-1"
    assert len(upstream.questions) == 1


async def test_everybody_may_leave_and_nobody_misses_the_failure(broker, upstream, caplog):
    upstream.always = token(wait=0.05, access_token="")
    gone = asyncio.create_task(broker.issue(ANN))
    await asyncio.sleep(0.02)
    gone.cancel()
    await quiet(broker)
    assert broker.counters.errors == 1
    assert not caplog.records


async def test_closing_ends_what_is_under_way_and_those_who_wait_hear_so(broker, upstream):
    upstream.always = silent
    waiting = asyncio.create_task(refused(broker))
    await asyncio.sleep(0.05)
    await broker.close()
    assert (await waiting).detail == "the broker was closed"
    assert not broker._asking


# ── growing old ──


async def test_the_next_token_is_asked_for_early_and_once_and_nobody_waits(broker, upstream, hour):
    first = await broker.issue(ANN)
    hour.passes(3600 - 120 - 300 - 1)
    assert await broker.issue(ANN) is first
    assert not broker._asking
    hour.passes(2)
    upstream.always = token(wait=0.1)
    for _ in range(10):
        assert at_once(broker) == first
    await quiet(broker)
    assert len(upstream.questions) == 2
    assert (await broker.issue(ANN)).value == "theirs-2"


async def test_a_token_too_old_to_hand_out_is_waited_for(broker, upstream, hour):
    await broker.issue(ANN)
    hour.passes(3600 - 120 + 1)
    got = await asyncio.gather(*(broker.issue(ANN) for _ in range(20)))
    assert {one.value for one in got} == {"theirs-2"}
    assert len(upstream.questions) == 2


@pytest.mark.parametrize("life", [6, 10, 60, 239, 241, 600, 3600, 86_400])
async def test_whatever_is_handed_out_has_some_life_left(make, upstream, hour, life):
    upstream.always = token(expires_in=life)
    broker = make()
    step = max(life / 50, 0.5)
    for _ in range(120):
        got = await broker.issue(ANN)
        assert got.expires_at - hour.wall >= min(120, life / 2) - 0.001
        await quiet(broker)
        hour.passes(step)
    assert len(upstream.questions) <= 120 * step / (life / 4) + 2


async def test_how_fresh_and_how_early_are_settings(make, upstream, hour):
    broker = make(fresh=600, early=60)
    first = await broker.issue(ANN)
    hour.passes(3600 - 661)
    assert await broker.issue(ANN) is first
    hour.passes(2)
    assert await broker.issue(ANN) == first
    await quiet(broker)
    assert (await broker.issue(ANN)).value == "theirs-2"


@pytest.mark.parametrize(
    "settings", [{"fresh": -1}, {"early": -1}, {"deadline": 0}, {"most": 0}, {"fresh": math.nan}]
)
def test_settings_that_make_no_sense_are_refused(theirs, settings):
    with pytest.raises(ValueError, match="must"):
        Broker(upstream=theirs, http=None, **settings)


async def test_a_life_is_counted_from_before_the_question(broker, upstream, hour):
    upstream.always = token(wait=0.2, expires_in=100)
    asking = asyncio.create_task(broker.issue(ANN))
    await asyncio.sleep(0.05)
    hour.passes(30)
    assert (await asking).expires_at == BEGIN + 100


async def test_a_token_that_all_but_died_on_the_way_is_not_handed_out(broker, upstream, hour):
    upstream.answers += [token(wait=0.1, expires_in=33)]
    asking = asyncio.create_task(refused(broker))
    await asyncio.sleep(0.03)
    hour.passes(30)
    assert (await asking).detail == "the upstream gave a token that is dead or dying"
    assert (await broker.issue(ANN)).value == "theirs-2"


async def test_no_token_is_remembered_for_longer_than_a_day(broker, upstream, hour):
    upstream.always = token(expires_in=10**12)
    got = await broker.issue(ANN)
    assert 0 < got.expires_in(hour.wall) <= 86_400 * 365
    hour.passes(86_400 - 120 - 301)
    assert await broker.issue(ANN) is got
    hour.passes(302)
    assert (await broker.issue(ANN)).value == "theirs-2"


@pytest.mark.parametrize(
    ("said", "lives"),
    [(None, 300), ("3600", 3600), (3600.7, 3600), (5.9, 5), (0, None), (-1, None), (4, None)]
    + [(bad, None) for bad in ("abc", "-5", "", True, math.nan, math.inf, [], {}, "9" * 400)],
)
async def test_odd_lifetimes(broker, upstream, hour, said, lives):
    upstream.answers += [token(expires_in=said)]
    if lives is None:
        await refused(broker)
        assert not broker._held
        assert (await broker.issue(ANN)).expires_at == BEGIN + 3600
    else:
        assert (await broker.issue(ANN)).expires_at == BEGIN + lives


# ── what is no token ──

GARBAGE = {
    "an error of theirs": says(500, THEIRS),
    "a gateway's page": says(502, f"<html>{THEIRS}</html>", Content_Type="text/html"),
    "too many requests": says(429, THEIRS),
    "our secret refused": says(
        401, f'{{"error": "invalid_client", "error_description": "{THEIRS}"}}'
    ),
    "not allowed": says(403, THEIRS),
    "a code of their own": says(400, f'{{"error": "{THEIRS.lower()}"}}'),
    "a reason of their own": says(400, "", THEIRS),
    "a page": says(200, f"<html>{THEIRS}</html>", Content_Type="text/html"),
    "garbage": says(200, f"\x00\xff{{{THEIRS}"),
    "a list": says(200, f'["{THEIRS}"]'),
    "nothing": says(200),
    "no content": says(204),
    "an odd success": says(201, '{"access_token": "t", "token_type": "Bearer"}'),
    "no token": token(access_token=None),
    "an empty token": token(access_token=""),
    "a token that is a number": token(access_token=7),
    "a token with a line break": token(access_token=f"a\r\nX-Evil: {THEIRS}"),
    "a token with a space": token(access_token=f"a {THEIRS}"),
    "a giant token": token(access_token=THEIRS * 10_000),
    "a mac token": token(token_type="mac"),
    "a type that is no text": token(token_type=[THEIRS]),
    "a scope that is no text": token(scope=[THEIRS]),
    "a scope with a line break": token(scope=f"itwin-platform\r\n{THEIRS}"),
    "an endless body": endless,
    "a redirect": says(307, THEIRS, Location="http://127.0.0.1:1/elsewhere"),
    "no answer at all": hangs_up,
    "another protocol": not_http,
}


@pytest.mark.parametrize("bad", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_is_no_token_is_503_and_the_next_success_is_served(
    broker, upstream, bad, caplog
):
    upstream.answers += [bad] * patience.TRIES
    error = await refused(broker)
    assert error.retry_after == 5
    assert not broker._held
    assert broker.counters.errors == 1
    upstream.answers.clear()
    assert (await broker.issue(ANN)).scope == ANN.scope
    assert THEIRS not in caplog.text
    assert SECRET not in caplog.text


async def test_a_token_type_left_out_is_bearer(broker, upstream):
    upstream.always = token(token_type=None)
    assert (await broker.issue(ANN)).token_type == "Bearer"


async def test_a_redirect_carries_the_secret_nowhere(broker, upstream):
    with Upstream() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            upstream.answers += [says(status, Location=elsewhere.token_endpoint)]
            error = await refused(broker)
            assert "redirect" in error.detail
        assert elsewhere.questions == []
        assert len(upstream.questions) == 5


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (says(401, '{"error": "invalid_client"}'), "127.0.0.1 answered 401: invalid_client"),
        (says(400, '{"error": "weird_code"}'), "127.0.0.1 answered 400"),
        (says(404), "127.0.0.1 answered 404"),
    ],
)
async def test_the_operator_reads_why_in_our_words(broker, upstream, bad, why):
    upstream.always = bad
    assert (await refused(broker)).detail == why
    assert len(upstream.questions) == 1, "what will not go away by itself is not asked again"


@dataclass(frozen=True)
class Faulty:
    """A plug-in with a mistake in it, which quotes what it read."""

    error: Exception

    def flow(self, authorization, *, now):
        yield httpx2.Request("POST", "http://127.0.0.1:1/")
        raise self.error

    def shared_by(self, authorization):
        return ()


class Careless(Faulty):
    def flow(self, authorization, *, now):
        raise self.error
        yield


@pytest.mark.parametrize(
    "error", [KeyError(THEIRS), ValueError(THEIRS), RuntimeError(SECRET), RecursionError(THEIRS)]
)
async def test_a_plug_in_that_fails_is_an_upstream_that_fails(make, error):
    found = (await refused(make(upstream=Careless(error)))).detail
    assert found.startswith(f"{type(error).__name__} in test_broker.py, line ")


@dataclass(frozen=True)
class Static:
    """A plug-in that gives everybody the same, whatever its life and scope."""

    gives: AccessToken

    def flow(self, authorization, *, now):
        return self.gives
        yield

    def shared_by(self, authorization):
        return ()


@pytest.mark.parametrize("expires_at", [math.nan, -math.inf, BEGIN, BEGIN + 4.9])
async def test_a_plug_in_cannot_give_a_dead_token(make, expires_at):
    given = AccessToken(value="v", expires_at=expires_at)
    await refused(make(upstream=Static(given)))


async def test_a_token_without_an_end_is_asked_for_every_day(make, hour):
    broker = make(upstream=Static(AccessToken(value="v", expires_at=math.inf)))
    for _ in range(50):
        assert (await broker.issue(ANN)).value == "v"
        await quiet(broker)
        hour.passes(3_600)
    assert broker.counters.asked == 3


# ── no more than was authorized ──


@pytest.mark.parametrize(
    "wider", ["itwin-platform admin", "admin", "itwin-platform openid offline_access"]
)
async def test_a_wider_scope_than_authorized_is_dropped(broker, upstream, wider):
    upstream.answers += [token(scope=wider)]
    error = await refused(broker)
    surplus = str(Scope.parse(wider) - ANN.scope)
    assert error.detail == f"the upstream gave more than was asked for: {surplus}"
    assert not broker._held
    assert (await broker.issue(ANN)).value == "theirs-2"


async def test_an_endless_surplus_is_cut_short(broker, upstream):
    upstream.answers += [token(scope="x" * 3_000)]
    assert len((await refused(broker)).detail) < 300


async def test_a_narrower_scope_is_told_as_it_is(broker, upstream):
    upstream.always = token(scope="read")
    assert (await broker.issue(authorized("read write"))).scope == Scope.parse("read")


@pytest.mark.parametrize("asked", ["", "itwin-platform"])
async def test_the_scope_is_not_compared_where_none_was_asked_or_where_that_is_off(
    make, upstream, asked
):
    upstream.always = token(scope="api://alias/.default")
    broker = make(scope_check=asked == "")
    assert (await broker.issue(authorized(asked))).scope == Scope.parse("api://alias/.default")


async def test_a_token_that_a_plug_in_shares_too_widely_stays_here(make):
    both = AccessToken(value="v", expires_at=BEGIN + 3600, scope=Scope.parse("read write"))
    broker = make(upstream=Static(both))
    assert (await broker.issue(authorized("read write"))).value == "v"
    assert (await refused(broker, authorized("read"))).detail.endswith(": write")
    assert broker.counters.served == 1


# ── an upstream that is down ──


async def test_while_the_upstream_is_down_a_live_token_is_served(broker, upstream, hour):
    first = await broker.issue(ANN)
    upstream.always = says(400)
    for seconds in (3200, 279, 60, 55):  # early; just before, and in, the margin; near the end
        hour.passes(seconds)
        assert await broker.issue(ANN) == first
        await quiet(broker)
    hour.passes(2)
    assert (await refused(broker)).detail == "127.0.0.1 answered 400"
    upstream.always = token()
    hour.passes(5)  # it has failed five times: for a moment nobody asks
    assert (await broker.issue(ANN)).value == "theirs-2"


async def test_the_operator_is_told_when_a_token_cannot_be_replaced(broker, upstream, hour, caplog):
    await broker.issue(ANN)
    upstream.always = says(403, THEIRS)
    hour.passes(3200)
    await broker.issue(ANN)
    await quiet(broker)
    (record,) = caplog.records
    assert record.getMessage() == "no new itwin token: 127.0.0.1 answered 403"
    assert record.levelno == logging.WARNING


async def test_who_has_a_live_token_does_not_ask_a_failing_upstream_again_at_once(
    broker, upstream, hour
):
    await broker.issue(ANN)
    upstream.always = says(400)
    for moment in (3200, 290):  # in the background, then in the margin
        hour.passes(moment)
        asked = len(upstream.questions)
        for _ in range(20):
            await broker.issue(ANN)
            await quiet(broker)
        assert len(upstream.questions) == asked + 1
        hour.passes(5.1)
        await broker.issue(ANN)
        await quiet(broker)
        assert len(upstream.questions) == asked + 2


async def test_who_has_a_live_token_waits_once_for_an_upstream_that_hangs(make, upstream, hour):
    broker = make(deadline=0.2)
    first = await broker.issue(ANN)
    upstream.always = silent
    hour.passes(3500)
    assert await broker.issue(ANN) == first
    hour.passes(6)
    assert at_once(broker) == first
    assert broker._asking, "asked again, in the background"
    await quiet(broker)
    hour.passes(61)
    upstream.always = token()
    assert (await broker.issue(ANN)).value == "theirs-2"


async def test_after_a_minute_without_failures_a_better_token_is_waited_for_again(
    broker, upstream, hour
):
    first = await broker.issue(ANN)
    upstream.answers += [says(400)]
    hour.passes(3485)
    assert await broker.issue(ANN) == first
    hour.passes(61)
    assert (await broker.issue(ANN)).value == "theirs-2"


@pytest.mark.parametrize("slow", [silent, dripping], ids=["silent", "dripping"])
async def test_the_deadline_covers_the_whole_and_nobody_else_waits(make, upstream, slow):
    broker = make(deadline=0.6)
    upstream.answers += [slow]
    stuck = [asyncio.create_task(refused(broker)) for _ in range(100)]
    await asyncio.sleep(0.1)
    assert (await broker.issue(authorized("other"))).value == "theirs-1"
    assert not any(one.done() for one in stuck)
    assert (await stuck[0]).detail == "the upstream did not answer within 0.6 seconds"
    async with asyncio.timeout(5):
        await asyncio.gather(*stuck)
    assert (await broker.issue(ANN)).value == "theirs-2"


# ── how questions end is counted ──


async def test_who_wants_to_know_hears_how_every_question_ended(make, upstream, hour):
    heard = []
    broker = make(heard=lambda end, seconds: heard.append((end, seconds)))
    upstream.answers += [token(), *[says(401)] * breaker.FAILURES]
    await broker.issue(ANN)
    await broker.issue(ANN)
    for _ in range(breaker.FAILURES + 1):
        await refused(broker, authorized("other"))
    assert heard == [("fetched", 0.0), *[("errors", 0.0)] * breaker.FAILURES, ("refused", None)]
    counts = broker.counters
    assert (counts.fetched, counts.errors, counts.refused) == (1, breaker.FAILURES, 1)
    assert sum(counts.latency.counts) == 1 + breaker.FAILURES


async def test_what_a_question_took_has_its_tries_and_the_waits_between_in_it(
    theirs, http, upstream
):
    broker = Broker(upstream=theirs, http=http)
    upstream.answers += [says(503), token(wait=0.05)]
    await broker.issue(ANN)
    assert broker.counters.asked == 2
    assert sum(broker.counters.latency.counts) == 1
    assert 0.05 < broker.counters.latency.total < 5


async def test_whoever_was_told_to_come_back_later_took_no_time(make, upstream):
    heard = []
    broker = make(heard=lambda end, seconds: heard.append((end, seconds)))
    upstream.answers += [says(429, Retry_After="60")]
    await refused(broker)
    await refused(broker, authorized("other"))
    assert heard == [("errors", 0.0), ("errors", None)]
    assert len(upstream.questions) == 1


# ── patience ──


async def test_what_may_pass_is_asked_again_and_served(broker, upstream):
    upstream.answers += [says(503, THEIRS), hangs_up]
    assert (await broker.issue(ANN)).value == "theirs-1"
    assert broker.counters == Counters(asked=3, fetched=1, served=1)


async def test_a_short_retry_after_is_waited_for(broker, upstream):
    upstream.answers += [says(429, THEIRS, Retry_After="1")]
    began = time.perf_counter()
    assert (await broker.issue(ANN)).value == "theirs-1"
    assert time.perf_counter() - began >= 1


@pytest.mark.parametrize(
    ("status", "said", "told"), [(429, "60", 60), (503, "299", 299), (429, "7200", 300)]
)
async def test_a_retry_after_that_is_too_long_is_passed_on_and_heeded(
    broker, upstream, hour, status, said, told
):
    upstream.answers += [says(status, THEIRS, Retry_After=said)]
    assert (await refused(broker)).retry_after == told
    hour.passes(20.5)
    error = await refused(broker, authorized("another"))
    assert error.retry_after == told - 20
    assert error.detail == "the upstream told us to come back later"
    assert len(upstream.questions) == 1
    hour.passes(told - 20.4)
    assert (await broker.issue(ANN)).value == "theirs-1"


async def test_a_retry_after_as_a_date_counts_from_their_own_clock(broker, upstream):
    def later(handler):
        handler.send_response_only(503)
        handler.send_header("Date", "Tue, 01 Jan 2030 00:00:00 GMT")
        handler.send_header("Retry-After", "Tue, 01 Jan 2030 00:01:30 GMT")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    upstream.answers += [later]
    assert (await refused(broker)).retry_after == 90


@pytest.mark.parametrize("said", ["-5", "soon", "", "0", "1e9", "99999999999"])
async def test_a_retry_after_that_says_nothing_holds_nobody_off(broker, upstream, said):
    upstream.answers += [says(503, Retry_After=said)] * patience.TRIES
    assert (await refused(broker)).retry_after == 5
    assert (await broker.issue(ANN)).value == "theirs-1"


async def test_a_live_token_is_served_while_the_upstream_wants_to_be_left_alone(
    broker, upstream, hour
):
    first = await broker.issue(ANN)
    upstream.always = says(429, Retry_After="30")
    hour.passes(3500)
    for _ in range(5):
        assert await broker.issue(ANN) == first
        hour.passes(5.1)
    assert len(upstream.questions) == 2


async def test_nobody_who_waits_to_ask_again_does_so_in_the_pause(broker, upstream):
    upstream.answers += [says(500), says(429, Retry_After="100")]
    one = asyncio.create_task(refused(broker, authorized("a")))
    while not upstream.questions:  # noqa: ASYNC110 - that is in a thread of its own
        await asyncio.sleep(0.005)
    other = await refused(broker, authorized("b"))
    assert {(await one).retry_after, other.retry_after} == {100}
    assert len(upstream.questions) == 2


async def test_a_dead_upstream_is_not_hammered_and_successes_earn_retries_back(
    broker, upstream, hour
):
    upstream.always = says(500)
    for _ in range(60):
        await refused(broker)
    assert len(upstream.questions) == breaker.FAILURES + patience.MOST_RETRIES <= 20
    upstream.always = token()
    hour.passes(breaker.SHORTEST)
    for n in range(4):
        await broker.issue(authorized(f"s{n}"))
    upstream.always = says(500)
    asked = len(upstream.questions)
    for _ in range(10):
        await refused(broker)
    assert len(upstream.questions) - asked == breaker.FAILURES + 4


@pytest.mark.parametrize(
    "dead",
    [
        says(401, '{"error": "invalid_client"}'),
        says(400),
        says(429),
        says(429, Retry_After="1"),
        says(500),
        says(200, "<html>"),
        hangs_up,
    ],
)
async def test_sixty_calls_are_twenty_questions_at_most_whatever_it_is_that_fails(
    broker, upstream, dead
):
    upstream.always = dead
    for _ in range(60):
        error = await refused(broker)
    assert len(upstream.questions) <= 20
    assert error.retry_after <= 5
    assert broker.state == "open" or broker.counters.refused == 0


async def test_when_it_has_failed_too_often_callers_hear_at_once_when_to_come_back(
    broker, upstream, hour
):
    upstream.always = says(401)
    for _ in range(breaker.FAILURES):
        assert broker.state == "closed"
        await refused(broker)
    assert broker.state == "open"
    for passed, left in ((0, 5), (2.5, 3), (2.4, 1)):
        hour.passes(passed)
        error = await refused(broker, authorized(f"other-{left}"))
        assert (error.retry_after, error.detail) == (left, "it has failed too often")
    assert len(upstream.questions) == breaker.FAILURES
    assert broker.counters.refused == 3


async def test_then_one_asks_for_all_and_if_in_vain_the_pause_is_longer(broker, upstream, hour):
    upstream.always = says(401)
    for _ in range(breaker.FAILURES):
        await refused(broker)
    upstream.always = token(wait=0.2, access_token="")
    for pause in (5, 10, 20, 30, 30):
        upstream.always = says(401)
        asked = len(upstream.questions)
        hour.passes(pause - 0.1)
        await refused(broker)
        hour.passes(0.2)
        assert broker.state == "half-open"
        crowd = [asyncio.create_task(refused(broker, authorized(f"s{n}"))) for n in range(20)]
        await asyncio.gather(*crowd)
        assert len(upstream.questions) == asked + 1
        assert broker.state == "open"
    hour.passes(31)
    upstream.always = token()
    await broker.issue(ANN)
    assert broker.state == "closed"
    await asyncio.gather(*(broker.issue(authorized(f"s{n}")) for n in range(20)))


async def test_whoever_asks_for_all_and_leaves_gives_the_turn_to_the_next(make, upstream, hour):
    broker = make()
    upstream.always = says(401)
    for _ in range(breaker.FAILURES):
        await refused(broker)
    hour.passes(5)
    upstream.always = silent
    asking = asyncio.create_task(broker.issue(ANN))
    await until(lambda: len(upstream.questions) == breaker.FAILURES + 1)
    assert (await refused(broker, authorized("other"))).retry_after == 1
    await broker.close()
    with pytest.raises(TemporarilyUnavailable):
        await asking
    upstream.always = token()
    assert await broker.issue(authorized("other"))


async def test_a_live_token_is_served_while_the_upstream_is_left_alone(broker, upstream, hour):
    held = await broker.issue(ANN)
    upstream.always = says(401)
    for n in range(breaker.FAILURES):
        await refused(broker, authorized(f"s{n}"))
    assert broker.state == "open"
    hour.passes(3500)
    upstream.always = says(401)
    await refused(broker, authorized("again"))
    assert await broker.issue(ANN) == held


@pytest.mark.parametrize(
    "code", ["invalid_scope", "invalid_target", "access_denied", "unauthorized_client"]
)
async def test_one_thing_that_fails_does_not_stop_the_others(broker, upstream, code):
    upstream.always = says(400, f'{{"error": "{code}"}}')
    for _ in range(20):
        await refused(broker, authorized("bad"))
    assert len(upstream.questions) == breaker.FAILURES
    assert broker.state == "closed"
    upstream.always = token()
    assert await broker.issue(authorized("good"))
    assert (await refused(broker, authorized("bad"))).retry_after == 5


async def test_an_upstream_that_is_not_there(make, http):
    with Upstream() as gone:
        pass
    theirs = ClientCredentials(
        token_endpoint=gone.token_endpoint, client_id="us", client_secret=SECRET
    )
    assert (await refused(make(upstream=theirs))).detail == "127.0.0.1 refuses connections"


# ── clocks ──

DAY = 86_400


@pytest.mark.parametrize("jump", [-400 * DAY, -2 * 3600, -130, 2 * 3600, 400 * DAY])
async def test_a_clock_that_jumps_serves_nothing_dead_and_crashes_nothing(
    broker, upstream, hour, jump
):
    await broker.issue(ANN)
    hour.wall += jump
    got = await broker.issue(ANN)
    assert got.value == "theirs-2"
    assert got.expires_in(hour.wall) == 3600
    hour.passes(3590)
    assert (await broker.issue(ANN)).value == "theirs-3"


async def test_a_clock_put_back_a_little_every_time_keeps_no_dead_token_alive(
    broker, upstream, hour
):
    asked = hour.steady
    value = (await broker.issue(ANN)).value
    for _ in range(100):
        hour.passes(60)
        hour.wall -= 59
        got = await broker.issue(ANN)
        await quiet(broker)
        if got.value != value:
            asked, value = hour.steady, got.value
        assert hour.steady - asked < 3600
        # What the caller is told is never further off than the margin.
        assert got.expires_in(hour.wall) <= 3600 - (hour.steady - asked) + 120


async def test_a_clock_put_back_by_less_than_the_margin_makes_no_token_younger(broker, hour):
    first = await broker.issue(ANN)
    hour.wall -= 100
    hour.passes(3600 - 120 - 300 + 1)
    assert (await broker.issue(ANN)).value == first.value
    await quiet(broker)
    second = await broker.issue(ANN)
    assert second.value == "theirs-2", "asked for in the background, in time"
    hour.wall -= 100
    hour.passes(3600 - 120 + 1)
    assert (await broker.issue(ANN)).value == "theirs-3"


@pytest.mark.parametrize("jump", [-400 * DAY, -2 * 3600])
async def test_a_clock_put_back_during_an_outage_does_not_lengthen_a_life(
    broker, upstream, hour, jump
):
    await broker.issue(ANN)
    upstream.always = says(400)
    hour.passes(3000)
    hour.wall += jump
    got = await broker.issue(ANN)
    assert (got.value, got.expires_in(hour.wall)) == ("theirs-1", 600)
    hour.passes(596)
    await refused(broker)


async def test_a_machine_that_slept_wakes_up_without_dead_tokens(broker, upstream, hour):
    await broker.issue(ANN)
    hour.wall += 4000  # the other clock stands still while a machine sleeps
    assert (await broker.issue(ANN)).value == "theirs-2"


# ── secrets ──


async def test_no_secret_and_no_token_shows_in_any_repr_or_log(make, upstream, hour, caplog):
    caplog.set_level(logging.DEBUG)
    broker = make()
    got = await broker.issue(ANN)
    upstream.always = says(500, THEIRS)
    hour.passes(3200)
    await broker.issue(ANN)
    await quiet(broker)
    hour.passes(4000)
    error = await refused(broker)
    shown = [repr(broker), repr(broker._held), repr(broker._asking), repr(got), repr(error)]
    shown += [record.getMessage() + repr(vars(record)) for record in caplog.records]
    for text in shown:
        for hidden in (SECRET, got.value, THEIRS):
            assert hidden not in text
