"""One question for a crowd of threads and tasks, remembered, asked again early."""

import asyncio
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from tokenward.client import TokenCache, TokenError
from tokenward.client.cache import MOST_QUESTIONS, REPLACED_AT_MOST_EVERY, TRIED_AT_MOST_EVERY
from tokenward.oauth.messages import AccessToken


class Source:
    """Gives numbered tokens, when its gate is open, and counts how often it is asked."""

    def __init__(self, time, *, life=3600.0):
        self.time = time
        self.life = life
        self.asked = 0
        self.fails: list[BaseException] = []
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.Lock()

    def __call__(self):
        with self.lock:
            self.asked += 1
            number = self.asked
        assert self.gate.wait(20)
        if self.fails:
            raise self.fails.pop(0)
        return AccessToken(value=f"t{number}", expires_at=self.time.wall + self.life)


@pytest.fixture
def source(time):
    return Source(time)


def until(condition):
    """Wait for other threads to get somewhere."""
    for _ in range(20_000):
        if condition():
            return
        sleep(0.001)
    raise AssertionError("they never did")


def settle(cache):
    """Wait until no question is under way."""
    until(lambda: not cache._asked and not cache._askers)


def test_a_token_is_asked_for_once_and_remembered(cache, source):
    assert [str(cache.get("k", source)) for _ in range(3)] == ["t1"] * 3
    assert source.asked == 1


def test_different_questions_have_different_answers(cache, source):
    assert str(cache.get("k", source)) != str(cache.get("l", source))
    assert source.asked == 2


def test_a_hundred_threads_ask_once(cache, source):
    source.gate.clear()
    arrived = threading.Barrier(101)

    def caller():
        arrived.wait(20)
        return str(cache.get("k", source))

    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(caller) for _ in range(100)]
        arrived.wait(20)
        source.gate.set()
        assert {answer.result(20) for answer in answers} == {"t1"}
    assert source.asked == 1


async def test_a_thousand_tasks_ask_once(cache, source):
    source.gate.clear()
    tasks = [asyncio.create_task(cache.aget("k", source)) for _ in range(1_000)]
    await asyncio.sleep(0)
    source.gate.set()
    assert {str(token) for token in await asyncio.gather(*tasks)} == {"t1"}
    assert source.asked == 1


def test_threads_and_tasks_of_several_loops_share_one_question(cache, source):
    source.gate.clear()
    arrived = threading.Barrier(7)

    async def tasks():
        waiting = [asyncio.create_task(cache.aget("k", source)) for _ in range(10)]
        await asyncio.sleep(0)
        arrived.wait(20)
        return {str(token) for token in await asyncio.gather(*waiting)}

    def thread():
        arrived.wait(20)
        return {str(cache.get("k", source))}

    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(asyncio.run, tasks()) for _ in range(3)]
        answers += [pool.submit(thread) for _ in range(3)]
        arrived.wait(20)
        source.gate.set()
        assert [answer.result(20) for answer in answers] == [{"t1"}] * 6
    assert source.asked == 1


async def test_blocking_code_inside_a_loop_does_not_lock_itself_out(cache, source):
    source.gate.clear()
    first = asyncio.create_task(cache.aget("k", source))
    await asyncio.sleep(0)
    source.gate.set()
    assert str(cache.get("k", source)) == "t1"  # this loop stands still meanwhile
    assert str(await first) == "t1"
    assert source.asked == 1


async def test_the_first_caller_may_be_cancelled_and_the_others_still_get_their_token(
    cache, source
):
    source.gate.clear()
    first = asyncio.create_task(cache.aget("k", source))
    await asyncio.sleep(0)
    others = [asyncio.create_task(cache.aget("k", source)) for _ in range(10)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()
    assert {str(token) for token in await asyncio.gather(*others)} == {"t1"}
    assert source.asked == 1


def test_a_loop_that_ends_takes_no_question_with_it(cache, source):
    source.gate.clear()

    async def impatient():
        asyncio.create_task(cache.aget("k", source))  # noqa: RUF006 - nobody will wait for it
        await asyncio.sleep(0)

    asyncio.run(impatient())
    source.gate.set()
    assert str(cache.get("k", source)) == "t1"
    assert source.asked == 1


def test_whoever_gives_up_leaves_the_question_to_the_others(cache, source):
    source.gate.clear()
    with pytest.raises(TokenError, match=r"no answer within 0\.01 seconds") as caught:
        cache.get("k", source, patience=0.01)
    assert caught.value.transient
    with pytest.raises(TokenError, match="no answer within"):
        asyncio.run(cache.aget("k", source, patience=0.01))
    source.gate.set()
    assert str(cache.get("k", source)) == "t1"
    assert source.asked == 1


def test_a_failure_is_told_to_all_who_waited_and_then_forgotten(cache, source):
    source.gate.clear()
    source.fails = [TokenError("they are down", status=503, error="temporarily_unavailable")]
    arrived = threading.Barrier(21)

    def caller():
        arrived.wait(20)
        with pytest.raises(TokenError) as caught:
            cache.get("k", source)
        return caught.value

    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(caller) for _ in range(20)]
        arrived.wait(20)
        until(lambda: "k" in cache._asked and len(cache._asked["k"].answer._waiters) == 20)
        source.gate.set()
        errors = [answer.result(20) for answer in answers]
    assert {(error.status, error.error, str(error)) for error in errors} == {
        (503, "temporarily_unavailable", "temporarily_unavailable (they are down)")
    }
    assert len({id(error) for error in errors}) == 20  # each with a traceback of its own
    assert source.asked == 1
    assert str(cache.get("k", source)) == "t2"


async def test_a_failure_is_told_to_tasks_and_to_nobody_who_left(cache, source, caplog):
    source.gate.clear()
    source.fails = [TokenError("they are down")]
    tasks = [asyncio.create_task(cache.aget("k", source)) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    source.gate.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(errors[0], asyncio.CancelledError)
    assert [str(error) for error in errors[1:]] == ["they are down"] * 9
    assert str(await cache.aget("k", source)) == "t2"
    del tasks, errors  # what they hold would complain when it goes
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), TypeError("another"), SystemExit(3)])
def test_a_mistake_of_ours_is_told_as_it_is(cache, source, fault):
    source.fails = [fault]
    with pytest.raises(type(fault)):
        cache.get("k", source)
    assert str(cache.get("k", source)) == "t2"


def test_what_is_no_token_is_a_mistake_that_nobody_waits_for(cache):
    with pytest.raises(AttributeError):
        cache.get("k", lambda: "not a token")
    assert len(cache) == 0


def test_a_token_about_to_expire_is_handed_out_while_the_next_one_is_asked_for(cache, source, time):
    cache.get("k", source)
    time.pass_(3600 - 119)
    source.gate.clear()
    assert [str(cache.get("k", source)) for _ in range(100)] == ["t1"] * 100
    source.gate.set()
    settle(cache)
    assert str(cache.get("k", source)) == "t2"
    assert source.asked == 2


def test_a_token_is_not_refreshed_before_it_is_due(cache, source, time):
    cache.get("k", source)
    time.pass_(3600 - 121)
    assert str(cache.get("k", source)) == "t1"
    assert source.asked == 1


def test_a_token_with_too_little_life_left_is_not_handed_out(cache, source, time):
    cache.get("k", source)
    time.pass_(3600 - 30)
    assert str(cache.get("k", source)) == "t2"


def test_an_early_refresh_that_fails_is_nobodys_trouble_and_not_repeated_at_once(
    cache, source, time
):
    cache.get("k", source)
    time.pass_(3600 - 100)
    source.fails = [TokenError("down"), TokenError("down")]
    assert str(cache.get("k", source)) == "t1"
    settle(cache)
    assert [str(cache.get("k", source)) for _ in range(100)] == ["t1"] * 100
    assert source.asked == 2
    time.pass_(TRIED_AT_MOST_EVERY)
    assert str(cache.get("k", source)) == "t1"
    settle(cache)
    assert source.asked == 3
    time.pass_(TRIED_AT_MOST_EVERY)
    assert str(cache.get("k", source)) == "t1"
    settle(cache)
    assert str(cache.get("k", source)) == "t4"


@pytest.mark.parametrize(
    ("life", "early_at", "gone_at"), [(300, 240, 270), (60, 48, 54), (10, 8, 9), (2, 1.6, 1.8)]
)
def test_short_lives_have_short_margins(cache, time, life, early_at, gone_at):
    source = Source(time, life=life)
    cache.get("k", source)
    time.pass_(early_at - 0.01)
    assert str(cache.get("k", source)) == "t1"
    assert source.asked == 1
    source.fails = [TokenError("down")]
    time.pass_(0.02)
    assert str(cache.get("k", source)) == "t1"
    settle(cache)
    assert source.asked == 2
    time.pass_(gone_at - early_at)
    assert str(cache.get("k", source)) == "t3"


@pytest.mark.parametrize("life", [0, -5])
def test_a_token_that_arrives_expired_is_tried_by_those_who_waited_and_not_kept(cache, time, life):
    source = Source(time, life=life)
    assert [str(cache.get("k", source)) for _ in range(2)] == ["t1", "t2"]
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        ((3600, 3600), "t2"),  # time has passed
        ((0, 3600), "t2"),  # somebody set the wall's clock back meanwhile
        ((-86_400, 3600), "t2"),  # by a day
        ((3600, 0), "t2"),  # the machine slept
        ((86_400, 1), "t2"),  # the clock was set right: one question too many does no harm
        ((-86_400, 1), "t1"),  # the clock was set back, and hardly any time has passed
        ((1, 1), "t1"),
    ],
)
def test_whichever_clock_says_that_more_time_has_passed_is_believed(
    cache, source, time, passed, expected
):
    """On the wall's clock, and on the one that only runs forward."""
    cache.get("k", source)
    time.wall += passed[0]
    time.steady += passed[1]
    assert str(cache.get("k", source)) == expected


def test_a_refused_token_is_replaced_once_and_not_again_at_once(cache, source, time):
    first = cache.get("k", source)
    assert cache.refuse("k", first)
    second = cache.get("k", source)
    assert (str(second), source.asked) == ("t2", 2)
    assert not cache.refuse("k", second)
    assert str(cache.get("k", source)) == "t2"
    time.pass_(REPLACED_AT_MOST_EVERY)
    assert cache.refuse("k", second)
    assert str(cache.get("k", source)) == "t3"


def test_a_token_replaced_meanwhile_is_not_dropped_by_latecomers(cache, source):
    first = cache.get("k", source)
    assert cache.refuse("k", first)
    cache.get("k", source)
    assert all(cache.refuse("k", first) for _ in range(100))
    assert str(cache.get("k", source)) == "t2"
    assert source.asked == 2


def test_a_crowd_whose_token_is_refused_asks_for_one_other(cache, source):
    first = cache.get("k", source)

    def caller():
        assert cache.refuse("k", first)
        return str(cache.get("k", source))

    with ThreadPoolExecutor(50) as pool:
        assert {answer.result(20) for answer in [pool.submit(caller) for _ in range(50)]} == {"t2"}
    assert source.asked == 2


def test_a_failed_replacement_does_not_bring_the_refused_token_back(cache, source):
    assert cache.refuse("k", cache.get("k", source))
    source.fails = [TokenError("down")]
    with pytest.raises(TokenError):
        cache.get("k", source)
    assert str(cache.get("k", source)) == "t3"


def test_an_unknown_token_may_be_refused_too(cache, time):
    stray = AccessToken(value="stray", expires_at=time.wall + 60)
    assert cache.refuse("k", stray)


def test_only_so_many_are_kept_and_the_one_unused_for_longest_goes_first(time, source):
    cache = TokenCache(most=3, clock=lambda: time.wall, ticks=lambda: time.steady)
    for key in "a", "b", "c", "a", "d":
        cache.get(key, source)
    assert len(cache) == 3
    assert [str(cache.get(key, source)) for key in "acd"] == ["t1", "t3", "t4"]
    assert str(cache.get("b", source)) == "t5"


def test_more_questions_than_threads_wait_for_a_turn(cache, source):
    source.gate.clear()
    many = MOST_QUESTIONS + 20
    before = threading.active_count()
    with ThreadPoolExecutor(many) as pool:
        answers = [pool.submit(cache.get, f"k{n}", source) for n in range(many)]
        until(lambda: len(cache._asked) == many)
        assert source.asked <= MOST_QUESTIONS
        assert threading.active_count() <= before + many + MOST_QUESTIONS
        source.gate.set()
        assert len({str(answer.result(20)) for answer in answers}) == many
    settle(cache)
    assert not cache._queue


def test_no_thread_to_ask_from_is_said_and_not_waited_for(cache, source, monkeypatch):
    def none_left(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pytest.raises(TokenError, match="no thread"):
            cache.get("k", source)
    assert str(cache.get("k", source)) == "t1"


def test_without_another_thread_the_one_at_work_takes_the_next_question_too(
    cache, source, monkeypatch
):
    source.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "k", source)
        until(lambda: source.asked == 1)
        pool.submit(int).result(20)  # the pool has its threads; nobody gets another one

        def none_left(self):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", none_left)
        second = pool.submit(cache.get, "l", source)
        until(lambda: len(cache._asked) == 2)
        source.gate.set()
        assert {str(first.result(20)), str(second.result(20))} == {"t1", "t2"}


def test_clearing_forgets_tokens_but_answers_those_who_wait(cache, source):
    cache.get("k", source)
    cache.clear()
    assert len(cache) == 0
    assert str(cache.get("k", source)) == "t2"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_after_a_fork_the_child_asks_for_itself(cache, source):
    cache.get("kept", source)
    source.gate.clear()
    waiting = threading.Thread(target=cache.get, args=("asked", source))
    waiting.start()
    until(lambda: "asked" in cache._asked)
    child = os.fork()
    if not child:
        code = 1
        try:
            source.gate.set()
            tokens = str(cache.get("kept", source)), str(cache.get("asked", source, patience=5))
            code = 0 if tokens[0] == "t1" and tokens[1] != "t1" else 2
        finally:
            os._exit(code)
    source.gate.set()
    waiting.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_token_is_in_the_repr_of_a_cache(cache, source):
    cache.get("k", source)
    assert repr(cache) == "<TokenCache of 1>"
