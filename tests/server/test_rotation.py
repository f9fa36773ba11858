"""Which key signs when: over years, in leaps, backwards, and in the hands of somebody impatient."""

from functools import partial
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenward.jose.keys import SigningKey
from tokenward.server.rotation import (
    CURRENT,
    MOST,
    NEXT,
    RETIRED,
    Entry,
    Periods,
    TooSoon,
    advanced,
    current,
    gone_at,
    replaced,
    revoked,
    rotated,
    states,
)

PRIVATE = SigningKey.generate("EdDSA").private
PERIODS = Periods(every=1_000.0, lead=100.0, keep=300.0)


class Named:
    """Makes keys quickly: they differ in their names alone."""

    def __init__(self):
        self.made = 0

    def __call__(self):
        self.made += 1
        return SigningKey(kid=f"k{self.made}", algorithm="EdDSA", private=PRIVATE)


def first(make, at=0.0):
    return (Entry(key=make(), made=at, since=at),)


def kids(entries):
    return [entry.key.kid for entry in entries]


def shown(entries, now):
    return [(entry.key.kid, state) for entry, state in states(entries, now)]


def test_a_life_of_keys():
    make = Named()
    entries = first(make)
    told = {}
    for now in range(0, 2_500, 10):
        entries = advanced(entries, float(now), PERIODS, make)
        told.setdefault(tuple(shown(entries, now)), now)
    assert told == {
        (("k1", CURRENT),): 0,
        (("k1", CURRENT), ("k2", NEXT)): 900,
        (("k2", CURRENT), ("k1", RETIRED)): 1_000,
        (("k2", CURRENT),): 1_300,
        (("k2", CURRENT), ("k3", NEXT)): 1_900,
        (("k3", CURRENT), ("k2", RETIRED)): 2_000,
        (("k3", CURRENT),): 2_300,
    }


def test_a_key_that_is_never_changed_stays():
    make = Named()
    entries = first(make)
    assert advanced(entries, 1e12, Periods(lead=1, keep=1), make) == entries


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wait", "rotate", "now", "revoke current", "revoke other"]),
        st.integers(0, 900),
    ),
    max_size=60,
)


@given(
    steps=STEPS, every=st.integers(200, 5_000), lead=st.integers(1, 150), keep=st.integers(1, 900)
)
def test_whatever_is_done_one_key_signs_and_three_are_public(steps, every, lead, keep):
    periods, make = Periods(every=every, lead=lead, keep=keep), Named()
    entries, now = first(make), 0.0
    published = {"k1": 0.0}
    for what, seconds in steps:
        now += seconds
        entries = advanced(entries, now, periods, make)
        signed_before = current(entries, now).key.kid
        hurried = what == "now" or what.startswith("revoke")
        until = inf
        try:
            entries = done(what, entries, now, periods, make)
        except TooSoon as exc:
            until = exc.until
        assert until > now
        seen = shown(entries, now)
        assert [state for _, state in seen].count(CURRENT) == 1
        assert seen[0][1] == CURRENT
        assert 1 <= len(entries) <= MOST
        assert all(one.since < two.since for one, two in pairwise(entries))
        for kid in kids(entries):
            published.setdefault(kid, now)
        signs = current(entries, now).key.kid
        if signs != signed_before and not hurried:
            # Nobody signs with a key that was not published for as long as key sets are kept.
            assert now - published[signs] >= lead


def done(what, entries, now, periods, make):
    match what:
        case "rotate":
            return rotated(entries, now, periods, make)
        case "now":
            return replaced(entries, now, periods, make)
        case "revoke current":
            return revoked(entries, current(entries, now).key.kid, now, make)
        case "revoke other":
            return revoked(entries, entries[0].key.kid, now, make)
    return entries


@given(st.lists(st.integers(0, 120), min_size=1, max_size=300))
def test_every_live_token_is_signed_with_a_public_key(waits):
    """However irregularly somebody looks, as long as nobody is in a hurry."""
    make, now = Named(), 0.0
    entries, tokens = first(make), []
    for seconds in waits:
        now += seconds
        entries = advanced(entries, now, PERIODS, make)
        tokens.append((now + PERIODS.keep - 120, current(entries, now).key.kid))
        tokens = [(ends, kid) for ends, kid in tokens if ends > now]
        assert {kid for _, kid in tokens} <= set(kids(entries))


@pytest.mark.parametrize("leap", [-7_200.0, 7_200.0, 400 * 86_400.0, -400 * 86_400.0])
def test_a_clock_that_leaps_leaves_one_key_that_signs(leap):
    make = Named()
    entries, now = first(make, 1e9), 1e9
    for _ in range(30):
        now += 50
        entries = advanced(entries, now, PERIODS, make)
    now += leap
    for _ in range(50):
        now += 50
        entries = advanced(entries, now, PERIODS, make)
        assert [state for _, state in shown(entries, now)].count(CURRENT) == 1
        assert len(entries) <= MOST


def test_an_early_change_takes_its_time():
    make = Named()
    entries = rotated(first(make), 10.0, PERIODS, make)
    assert shown(entries, 10.0) == [("k1", CURRENT), ("k2", NEXT)]
    assert shown(entries, 109.9) == [("k1", CURRENT), ("k2", NEXT)]
    assert shown(entries, 110.0) == [("k2", CURRENT), ("k1", RETIRED)]
    assert gone_at(entries[0], entries, PERIODS) == 410.0
    assert gone_at(entries[1], entries, PERIODS) == inf


def test_a_second_early_change_is_the_first_one():
    make = Named()
    entries = rotated(first(make), 10.0, PERIODS, make)
    with pytest.raises(TooSoon) as told:
        rotated(entries, 20.0, PERIODS, make)
    assert told.value.until == 110.0


def test_a_change_that_is_on_its_way_may_come_sooner():
    make = Named()
    slow = Periods(every=1_000.0, lead=500.0, keep=300.0)
    entries = advanced(first(make), 500.0, slow, make)
    assert entries[-1].since == 1_000.0
    quick = Periods(every=1_000.0, lead=100.0, keep=300.0)
    assert rotated(entries, 550.0, quick, make)[-1].since == 600.0


def test_there_is_no_room_for_a_fourth():
    make = Named()
    periods = Periods(every=inf, lead=10.0, keep=1_000.0)
    entries = rotated(first(make), 0.0, periods, make)
    entries = rotated(entries, 20.0, periods, make)
    with pytest.raises(TooSoon) as told:
        rotated(entries, 40.0, periods, make)
    assert told.value.until == 1_010.0
    assert kids(rotated(entries, 1_010.0, periods, make)) == ["k2", "k3", "k4"]


def test_a_hurry_does_not_wait_and_makes_room():
    make = Named()
    entries = first(make)
    for now in (1.0, 1.0, 2.0, 3.0):
        entries = replaced(entries, now, PERIODS, make)
        assert len(entries) <= MOST
    assert shown(entries, 3.1)[0] == ("k5", CURRENT)


def test_a_hurry_uses_the_key_that_is_published_already():
    make = Named()
    entries = replaced(rotated(first(make), 10.0, PERIODS, make), 20.0, PERIODS, make)
    assert shown(entries, 20.0) == [("k2", CURRENT), ("k1", RETIRED)]


@pytest.mark.parametrize(
    ("kid", "left"),
    [
        ("k1", [("k2", CURRENT), ("k3", NEXT)]),
        ("k2", [("k3", CURRENT), ("k1", RETIRED)]),
        ("k3", [("k2", CURRENT), ("k1", RETIRED)]),
    ],
)
def test_a_revoked_key_is_gone_at_once(kid, left):
    make = Named()
    entries = rotated(first(make), 0.0, PERIODS, make)
    entries = rotated(entries, 150.0, PERIODS, make)
    assert shown(entries, 160.0) == [("k2", CURRENT), ("k3", NEXT), ("k1", RETIRED)]
    assert shown(revoked(entries, kid, 160.0, make), 160.0) == left


def test_after_the_only_key_comes_a_new_one():
    make = Named()
    assert shown(revoked(first(make), "k1", 5.0, make), 5.0) == [("k2", CURRENT)]


@pytest.mark.parametrize("kid", ["", "k9", "K1"])
def test_a_key_that_is_not_there_cannot_be_revoked(kid):
    make = Named()
    with pytest.raises(LookupError):
        partial(revoked, first(make), kid, 5.0, make)()
