"""The figures of a day: whom they tell apart, how many of them, and how they are written down."""

import json

import pytest

from tests.server.usage.asked import event
from tokenward.server.figures import (
    MOST,
    OTHERS,
    Figures,
    Handed,
    from_bytes,
    to_bytes,
)


def some():
    figures = Figures()
    for failure in (None, None, {"error": "temporarily_unavailable"}):
        figures.event(event("itwin", "mobile", "", failure))
    figures.event(event("", "", "", {"error": "invalid_client"}))
    for seconds in (0.1, 0.2):
        figures.upstream("itwin").ended("fetched", seconds)
    figures.upstream("itwin").ended("errors", 9.0)
    figures.upstream("itwin").ended("errors", None)
    figures.upstream("itwin").ended("refused", None)
    return figures


def test_each_is_told_apart_by_token_caller_and_client():
    assert some().handed == {
        ("itwin", "mobile", ""): Handed(served=2, refused=1),
        ("", "", ""): Handed(refused=1),
    }


def test_how_questions_ended_is_told_by_token():
    fetched = some().fetched["itwin"]
    assert (fetched.fetched, fetched.errors, fetched.refused) == (2, 2, 1)
    assert sum(fetched.latency.counts) == 3


def test_there_are_only_so_many_whoever_asks():
    figures = Figures()
    for number in range(MOST + 500):
        for token in ("reports", "orders"):
            figures.event(event(token, f"c{number}", f"c{number}"))
    assert len(figures.handed) == MOST + 2
    assert sum(it.served for it in figures.handed.values()) == 2 * (MOST + 500)
    rest = MOST // 2
    assert figures.handed["orders", OTHERS, OTHERS] == Handed(served=MOST + 500 - rest)
    figures.event(event("reports", "c0", "c0"))
    assert figures.handed["reports", "c0", "c0"] == Handed(served=2)


def test_those_of_several_are_added_and_neither_is_changed_by_that():
    one, other = some(), some()
    other.event(event())
    together = Figures()
    together.add(one)
    together.add(other)
    assert together.handed["itwin", "mobile", ""] == Handed(served=4, refused=2)
    assert together.handed["reports", "nightly", "nightly"] == Handed(served=1)
    assert together.fetched["itwin"].fetched == 4
    assert sum(together.fetched["itwin"].latency.counts) == 6
    assert one == some()


def test_what_was_written_is_read_again():
    assert from_bytes(to_bytes(some())) == some()
    assert from_bytes(to_bytes(Figures())) == Figures()
    whole = some()
    whole.of = frozenset({"one", "other"})
    assert from_bytes(to_bytes(whole)) == whole


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b'{"version":2,"handed":[],"fetched":{}}',
        b'{"version":1,"handed":[],"fetched":{},"of":7}',
        b'{"version":1,"handed":[]}',
        b'{"version":1,"handed":{},"fetched":[]}',
        b'{"version":1,"handed":[["reports","nightly"]],"fetched":{}}',
        b'{"version":1,"handed":[["reports","nightly","nightly",[1,2,3]]],"fetched":{}}',
        b'{"version":1,"handed":[],"fetched":{"itwin":{}}}',
        b'{"version":1,"handed":[],"fetched":{"itwin":{"counts":[1,1,1],"latency":{}}}}',
    ],
)
def test_what_is_no_row_of_this_version_is_none(kept):
    assert from_bytes(kept) is None


def test_the_row_of_a_busy_day_is_small():
    figures = some()
    for number in range(10_000):
        figures.upstream("itwin").ended("fetched", number / 1_000)
        figures.event(event("itwin", "mobile", ""))
    assert len(to_bytes(figures)) < 1_000
    assert json.loads(to_bytes(figures))["version"] == 1
