"""Several processes on one SQLite file, and processes that are killed at the worst moment."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.stores import racer
from tokenward.server.stores import Again, First
from tokenward.server.stores.sqlite import SQLite

PROCESSES = 4
ROUNDS = 25
KILLED_AFTER = [0.02, 0.09, 0.17, 0.28]


@pytest.fixture
async def store(tmp_path):
    store = SQLite(tmp_path / "store.db", time.time)
    await store.open()
    yield store
    await store.close()


def start(what, *arguments):
    return subprocess.Popen(
        [sys.executable, str(Path(racer.__file__)), what, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=1 << 20,  # nobody reads while it writes as fast as it can
        text=True,
    )


async def test_of_sixteen_in_four_processes_one_gets_it(store, tmp_path):
    with ExitStack() as stack:
        processes = [
            stack.enter_context(start("race", tmp_path / "store.db")) for _ in range(PROCESSES)
        ]
        for round in range(ROUNDS):
            await store.shelf.put(f"code {round}", b"grant", until=None)
            await store.chains.begin(f"family {round}", f"old {round}", b"", until=None)
            await store.chains.begin(f"brief family {round}", f"once {round}", b"", until=None)
            for process in processes:
                process.stdin.write(f"{round}\n")
                process.stdin.flush()
            got = [one for process in processes for one in json.loads(process.stdout.readline())]
            assert len(got) == 16

            assert sum(one["added"] for one in got) == 1
            assert sum(one["taken"] for one in got) == 1
            assert sum(one["held"] is not None for one in got) == 1
            (adder,) = (one["me"] for one in got if one["added"])
            assert await store.shelf.get(f"jti {round}") == adder.encode()

            assert Counter(one["rotated"] for one in got) == {"First": 1, "Again": 15}
            (winner,) = (one["me"] for one in got if one["rotated"] == "First")
            assert {one["replay"] for one in got if one["rotated"] == "Again"} == {winner}
            assert await store.chains.look(winner) == b""

            assert Counter(one["robbed"] for one in got) == {"First": 1, "Theft": 1, "Unknown": 14}
            for one in got:
                assert await store.chains.look(f"once {one['me']}") is None
        for process in processes:
            process.stdin.close()
        assert [process.wait(10) for process in processes] == [0] * PROCESSES


async def test_what_was_acknowledged_survives_a_kill_and_nothing_is_spent_twice(tmp_path):
    path = tmp_path / "store.db"
    for round, seconds in enumerate(KILLED_AFTER):
        with start("write", path, round) as process:
            first = process.stdout.readline()
            await asyncio.sleep(seconds)
            process.kill()
            heard = [first, *process.stdout]
        acknowledged = [line.split() for line in heard if line.endswith("\n")]
        assert len(acknowledged) > 10

        store = SQLite(path, time.time)
        await store.open()
        links = {}
        for what, *of in acknowledged:
            if what == "jti":
                assert not await store.shelf.add(f"jti {of[0]}", b"", until=None)
            elif what == "code":
                assert await store.shelf.take(f"code {of[0]}") is None
            else:
                links[of[0]] = int(of[1])
        assert len(links) > 0
        for family, n in links.items():
            await assert_chain(store, family, n)
        await store.close()


async def assert_chain(store, family, n):
    """Its last acknowledged key is live, or the next is and its answer can be had again."""
    if await store.chains.look(f"{family}.{n}") is None:
        lost = await store.chains.rotate(f"{family}.{n}", "x", b"", b"", until=None, grace=60)
        assert lost == Again(replay=str(n + 1).encode())
        n += 1
    assert await store.chains.look(f"{family}.{n}") == str(n).encode()
    for spent in range(n):
        assert await store.chains.look(f"{family}.{spent}") is None
    after = await store.chains.rotate(
        f"{family}.{n}", f"{family} after", b"after", b"", until=None, grace=60
    )
    assert after == First()
    assert await store.chains.look(f"{family} after") == b"after"
    if n > 0:
        again = await store.chains.rotate(f"{family}.0", "x", b"", b"", until=None, grace=0)
        assert again != First()
        assert await store.chains.look("x") is None
