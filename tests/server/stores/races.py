"""Sixteen who race for the same thing, from several processes, round after round.

Law: one of them gets it, whatever it is, and all the others hear that they did not.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.server.stores import racer

RACERS = 16


def start(what, *arguments):
    """A process that races, or writes."""
    return subprocess.Popen(
        [sys.executable, str(Path(racer.__file__)), what, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pipesize=1 << 20,  # nobody reads while it writes as fast as it can
        text=True,
    )


async def check_races(store, url, *, processes, rounds, at_once):
    """Race in so many rounds, so many of them at once; AssertionError if one has two winners."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(start("race", url, RACERS // processes)) for _ in range(processes)
        ]
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for first in range(0, rounds, at_once):
            numbers = [str(n) for n in range(first, first + at_once)]
            await asyncio.gather(*(_prepare(store, round) for round in numbers))
            for process in started:
                process.stdin.write(" ".join(numbers) + "\n")
                process.stdin.flush()
            heard = [json.loads(process.stdout.readline()) for process in started]
            for round in numbers:
                got = {
                    what: dict(one for each in heard for one in each[what][round])
                    for what in heard[0]
                }
                assert {len(each) for each in got.values()} == {RACERS}
                await _check(store, round, **got)
        for process in started:
            process.stdin.close()
        assert [process.wait(10) for process in started] == [0] * processes


async def _prepare(store, round):
    await asyncio.gather(
        store.shelf.put(f"code {round}", b"grant", until=None),
        store.shelf.put(f"grant {round}", b"old", until=None),
        store.chains.begin(f"family {round}", f"old {round}", b"", until=None),
        store.chains.begin(f"brief family {round}", f"once {round}", b"", until=None),
    )


async def _check(store, round, *, add, swap, take, rotate, rob, hold):
    """What each of the racers got, by name."""
    (adder,) = (name for name, added in add.items() if added)
    (swapper,) = (name for name, swapped in swap.items() if swapped)
    assert await store.shelf.get(f"grant {round}") == swapper.encode()
    assert sum(take.values()) == 1
    assert sum(number is not None for number in hold.values()) == 1

    assert Counter(word for word, _ in rotate.values()) == {"First": 1, "Again": RACERS - 1}
    (winner,) = (name for name, (word, _) in rotate.items() if word == "First")
    assert {replay for word, replay in rotate.values() if word == "Again"} == {winner}

    assert Counter(rob.values()) == {"First": 1, "Theft": 1, "Unknown": RACERS - 2}
    kept = await asyncio.gather(
        store.shelf.get(f"jti {round}"),
        store.chains.look(winner),
        *(store.chains.look(f"once {name}") for name in rob),
    )
    assert kept == [adder.encode(), b"", *[None] * RACERS]
