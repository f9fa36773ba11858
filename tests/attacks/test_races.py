"""A thousand rounds in which sixteen, in two processes, want what only one may have (§4, R-26)."""

import time

import pytest

from tests.server.stores.races import check_races
from tokenward.server.stores import open_store

ROUNDS = 1000


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_whatever_may_happen_once_happens_once(kind, request, tmp_path):
    if kind == "sqlite":
        url = f"sqlite://{tmp_path}/store.db"
    else:
        url = request.getfixturevalue("postgresql").fresh()
    store = open_store(url, time.time)
    await store.open()
    await check_races(store, url, processes=2, rounds=ROUNDS, at_once=50)
    await store.close()
