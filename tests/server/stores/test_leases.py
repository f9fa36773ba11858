"""What all leases do."""

import asyncio

import pytest


@pytest.fixture
def leases(store):
    return store.leases


async def test_one_holds_it_and_others_do_not(leases, clock):
    assert await leases.hold("refresh", until=clock.now + 10) is not None
    assert await leases.hold("refresh", until=clock.now + 10) is None
    assert await leases.hold("refresh", until=clock.now + 99) is None


async def test_leases_of_other_names_are_other_leases(leases, clock):
    first = await leases.hold("a", until=clock.now + 10)
    second = await leases.hold("b", until=clock.now + 10)
    assert first is not None
    assert second is not None
    assert first < second
    assert not await leases.release("b", first)
    assert not await leases.renew("a", second, until=clock.now + 99)


async def test_a_released_lease_is_free_and_the_next_number_is_higher(leases, clock):
    first = await leases.hold("refresh", until=clock.now + 10)
    assert await leases.release("refresh", first)
    second = await leases.hold("refresh", until=clock.now + 10)
    assert second > first


async def test_a_lease_ends_exactly_at_its_time_and_the_next_number_is_higher(leases, clock):
    first = await leases.hold("refresh", until=clock.now + 10)
    clock.now += 9.999
    assert await leases.hold("refresh", until=clock.now + 10) is None
    clock.now += 0.001
    second = await leases.hold("refresh", until=clock.now + 10)
    assert second > first


async def test_a_number_is_never_given_twice_whatever_became_of_the_lease(leases, clock):
    numbers = []
    for n in range(20):
        number = await leases.hold("refresh", until=clock.now + 1)
        assert number is not None
        numbers.append(number)
        if n % 2:
            await leases.release("refresh", number)
        else:
            clock.now += 1
    assert numbers == sorted(set(numbers))


async def test_whose_lease_is_over_can_neither_release_nor_renew_it(leases, clock):
    first = await leases.hold("refresh", until=clock.now + 10)
    clock.now += 10
    assert not await leases.renew("refresh", first, until=clock.now + 10)
    assert not await leases.release("refresh", first)
    second = await leases.hold("refresh", until=clock.now + 10)
    assert not await leases.renew("refresh", first, until=clock.now + 10)
    assert not await leases.release("refresh", first)
    assert await leases.release("refresh", second)
    assert not await leases.release("refresh", second)
    assert not await leases.renew("refresh", second, until=clock.now + 10)


async def test_a_renewed_lease_lasts_longer_under_the_same_number(leases, clock):
    number = await leases.hold("refresh", until=clock.now + 10)
    clock.now += 9
    assert await leases.renew("refresh", number, until=clock.now + 10)
    clock.now += 9
    assert await leases.hold("refresh", until=clock.now + 10) is None
    assert await leases.release("refresh", number)


async def test_renewing_may_also_shorten(leases, clock):
    number = await leases.hold("refresh", until=clock.now + 100)
    assert await leases.renew("refresh", number, until=clock.now + 1)
    clock.now += 1
    assert await leases.hold("refresh", until=clock.now + 1) is not None


async def test_a_lease_nobody_holds_is_nobodys(leases, clock):
    assert not await leases.release("refresh", 1)
    assert not await leases.renew("refresh", 1, until=clock.now + 10)
    assert await leases.hold("refresh", until=clock.now + 10) is not None


async def test_of_a_hundred_one_holds_it(leases, clock):
    numbers = await asyncio.gather(
        *(leases.hold("refresh", until=clock.now + 10) for _ in range(100))
    )
    assert numbers.count(None) == 99
