"""What all chains do."""

import asyncio
from itertools import pairwise

import pytest

from tokenward.server.stores import Again, First, Theft, Unknown

GRACE = 10.0


@pytest.fixture
def chains(store):
    return store.chains


@pytest.fixture
def rotate(chains, clock):
    """Rotates ``old`` to ``new`` with a value and a replay record one can tell apart."""

    async def rotate(old, new, *, lifetime=1000.0, grace=GRACE):
        value, replay = f"value of {new}".encode(), f"answer with {new}".encode()
        return await chains.rotate(old, new, value, replay, until=clock.now + lifetime, grace=grace)

    return rotate


@pytest.fixture
async def begun(chains, clock):
    await chains.begin("family", "one", b"value of one", until=clock.now + 1000)


async def live(chains, *keys):
    return [key for key in keys if await chains.look(key) is not None]


async def test_the_first_key_is_live_and_looking_does_not_spend_it(chains, begun):
    assert await chains.look("one") == b"value of one"
    assert await chains.look("one") == b"value of one"


async def test_a_key_never_given_is_unknown(chains, begun, rotate):
    assert await chains.look("two") is None
    assert await chains.look("family") is None
    assert await rotate("nobody's", "two") == Unknown()
    assert await live(chains, "one", "two", "nobody's") == ["one"]


async def test_rotating_spends_the_old_and_keeps_the_new(chains, begun, rotate):
    assert await rotate("one", "two") == First()
    assert await chains.look("one") is None
    assert await chains.look("two") == b"value of two"
    assert await rotate("two", "three") == First()
    assert await live(chains, "one", "two", "three") == ["three"]


async def test_soon_after_the_same_answer_is_given_again_and_nothing_changes(
    chains, begun, rotate, clock
):
    await rotate("one", "two")
    for _ in range(3):
        clock.now += 3
        assert await rotate("one", "other") == Again(replay=b"answer with two")
    assert await live(chains, "one", "two", "other") == ["two"]
    assert await chains.look("two") == b"value of two"


async def test_an_empty_replay_record_is_one(chains, begun, clock):
    for answer in (First(), Again(replay=b"")):
        rotated = await chains.rotate("one", "two", b"", b"", until=None, grace=GRACE)
        assert rotated == answer
    assert await chains.look("two") == b""


@pytest.mark.parametrize("later", [GRACE, GRACE + 0.001, 999.0])
async def test_presented_after_the_grace_it_is_theft_and_all_are_revoked(
    chains, begun, rotate, clock, later
):
    await rotate("one", "two")
    clock.now += later
    assert await rotate("one", "other") == Theft(family="family")
    assert await live(chains, "one", "two", "other") == []
    assert await rotate("two", "three") == Unknown()
    assert await rotate("one", "three") == Unknown()


async def test_just_before_the_end_of_the_grace_it_is_not_theft(chains, begun, rotate, clock):
    await rotate("one", "two")
    clock.now += GRACE - 0.001
    assert await rotate("one", "other") == Again(replay=b"answer with two")


async def test_without_grace_the_second_use_is_theft_at_once(chains, begun, rotate):
    assert await rotate("one", "two", grace=0) == First()
    assert await rotate("one", "other", grace=0) == Theft(family="family")
    assert await live(chains, "one", "two") == []


async def test_without_grace_the_second_use_is_theft_though_the_clock_was_set_back(
    chains, begun, rotate, clock
):
    assert await rotate("one", "two", grace=0) == First()
    clock.now -= 5
    assert await rotate("one", "other", grace=0) == Theft(family="family")
    assert await live(chains, "one", "two") == []


async def test_presented_after_its_successor_was_used_it_is_theft_even_within_the_grace(
    chains, begun, rotate
):
    await rotate("one", "two")
    await rotate("two", "three")
    assert await rotate("one", "other") == Theft(family="family")
    assert await live(chains, "one", "two", "three", "other") == []


async def test_the_first_of_a_long_chain_is_remembered(chains, begun, rotate, clock):
    keys = ["one", *(f"key {n}" for n in range(50))]
    for old, new in pairwise(keys):
        assert await rotate(old, new) == First()
        clock.now += 1
    assert await live(chains, *keys) == keys[-1:]
    assert await rotate("one", "other") == Theft(family="family")
    assert await live(chains, *keys) == []


async def test_theft_leaves_other_families_alone(chains, begun, rotate, clock):
    await chains.begin("family of others", "other one", b"", until=None)
    await rotate("other one", "other two")
    await rotate("one", "two", grace=0)
    await rotate("one", "three", grace=0)
    assert await live(chains, "one", "two", "other two") == ["other two"]
    assert await rotate("other one", "other three") == Again(replay=b"answer with other two")


async def test_a_key_expires_exactly_at_its_time(chains, begun, rotate, clock):
    clock.now += 999.999
    assert await chains.look("one") is not None
    clock.now += 0.001
    assert await chains.look("one") is None
    assert await rotate("one", "two") == Unknown()
    assert await chains.look("two") is None


async def test_the_successor_lives_as_long_as_was_said(chains, begun, rotate, clock):
    await rotate("one", "two", lifetime=5)
    clock.now += 4.999
    assert await chains.look("two") is not None
    clock.now += 0.001
    assert await chains.look("two") is None
    assert await rotate("two", "three") == Unknown()


async def test_a_chain_may_live_for_good(chains, clock):
    await chains.begin("family", "one", b"value", until=None)
    clock.now += 1e12
    assert await chains.look("one") == b"value"
    assert await chains.rotate("one", "two", b"v", b"r", until=None, grace=0) == First()
    clock.now += 1e12
    assert await chains.look("two") == b"v"


async def test_a_spent_key_is_unknown_once_it_has_expired_and_its_successor_lives_on(
    chains, begun, rotate, clock
):
    clock.now += 990
    await rotate("one", "two")
    clock.now += 10
    assert await rotate("one", "other") == Unknown()
    assert await chains.look("two") == b"value of two"


async def test_where_the_successor_has_expired_its_answer_is_not_given_again(
    chains, begun, rotate, clock
):
    await rotate("one", "two", lifetime=5)
    clock.now += 5
    assert await rotate("one", "other") == Theft(family="family")


async def test_a_revoked_family_is_dead(chains, begun, rotate):
    await rotate("one", "two")
    await chains.revoke("family")
    assert await live(chains, "one", "two") == []
    assert await rotate("one", "three") == Unknown()
    assert await rotate("two", "three") == Unknown()
    assert await chains.look("three") is None


async def test_revoking_leaves_other_families_alone(chains, begun):
    await chains.begin("family 2", "other", b"", until=None)
    await chains.revoke("nobody")
    await chains.revoke("fam")
    assert await live(chains, "one", "other") == ["one", "other"]
    await chains.revoke("family")
    assert await live(chains, "one", "other") == ["other"]


async def test_a_family_may_have_several_chains_and_all_go_together(chains, begun, rotate):
    await chains.begin("family", "uno", b"", until=None)
    await rotate("one", "two")
    assert await live(chains, "two", "uno") == ["two", "uno"]
    await rotate("one", "other", grace=0)
    assert await live(chains, "two", "uno") == []


async def test_a_key_in_use_cannot_be_begun_again(chains, begun, rotate):
    await rotate("one", "two")
    for key in ("one", "two"):
        with pytest.raises(ValueError, match="in use"):
            await chains.begin("other", key, b"stolen", until=None)
    assert await chains.look("two") == b"value of two"
    await chains.revoke("other")
    assert await chains.look("two") == b"value of two"


async def test_a_key_in_use_cannot_be_a_successor_and_nothing_changes(chains, begun, rotate, clock):
    await chains.begin("other", "uno", b"value of uno", until=None)
    for new in ("one", "uno"):
        with pytest.raises(ValueError, match="in use"):
            await rotate("one", new)
    assert await chains.look("one") == b"value of one"
    assert await chains.look("uno") == b"value of uno"
    assert await rotate("one", "two") == First()


async def test_an_expired_key_may_be_used_for_something_else(chains, clock):
    await chains.begin("family", "one", b"old", until=clock.now + 1)
    await chains.rotate("one", "two", b"old", b"old", until=clock.now + 1, grace=GRACE)
    clock.now += 1
    await chains.begin("other", "one", b"new", until=None)
    assert await chains.look("one") == b"new"
    assert await chains.rotate("one", "two", b"newer", b"", until=None, grace=0) == First()
    await chains.revoke("family")
    assert await chains.look("two") == b"newer"


async def test_of_a_hundred_who_present_it_at_once_one_is_first_and_all_get_its_answer(
    chains, begun, rotate
):
    answers = await asyncio.gather(*(rotate("one", f"two {n}") for n in range(100)))
    assert answers.count(First()) == 1
    winner = f"two {answers.index(First())}"
    assert answers.count(Again(replay=f"answer with {winner}".encode())) == 99
    assert await live(chains, *(f"two {n}" for n in range(100))) == [winner]


async def test_of_a_hundred_who_present_it_at_once_without_grace_none_wins(chains, begun, rotate):
    answers = await asyncio.gather(*(rotate("one", f"two {n}", grace=0) for n in range(100)))
    assert answers.count(First()) == 1
    assert answers.count(Theft(family="family")) == 1
    assert answers.count(Unknown()) == 98
    assert await live(chains, "one", *(f"two {n}" for n in range(100))) == []


async def test_answers_do_not_show_the_replay_record(chains, begun, rotate):
    await rotate("one", "two")
    assert "answer" not in repr(await rotate("one", "other"))


@pytest.mark.parametrize(
    ("grace", "later", "again"),
    [
        (0.5, 0.0, True),
        (0.5, 0.49, True),
        (0.5, 0.5, False),
        (1.0, 0.99, True),
        (1.0, 1.0, False),
        (0.0, 0.0, False),
        (-1.0, 0.0, False),
    ],
)
async def test_grace_may_be_short_and_ends_exactly(store, clock, grace, later, again):
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.rotate("one", "two", b"2", b"answer", until=None, grace=grace)
    clock.now += later
    found = await store.chains.rotate("one", "three", b"3", b"other", until=None, grace=grace)
    assert found == (Again(replay=b"answer") if again else Theft(family="family"))
