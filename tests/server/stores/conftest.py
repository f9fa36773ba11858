"""A clock one sets, and a store of each kind."""

import pytest

from tests.server.stores.kinds import KINDS, SetClock


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
async def store(kind, clock, tmp_path):
    store = kind.make(tmp_path, clock)
    await store.open()
    yield store
    await store.close()
