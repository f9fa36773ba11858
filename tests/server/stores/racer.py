"""A process of its own that uses a store; the tests of several processes start and kill it.

``racer.py race URL RACERS`` reads lines of round numbers. For each line, the racers race for all
its rounds at once, and what they got is written as a line of JSON: by what it was, then by round.
``racer.py write URL ROUND`` writes as fast as it can, and for each thing that the store
acknowledged a line of what it was.
"""

import asyncio
import json
import os
import random
import sys
import time

from tokenward.server.stores import First, open_store

WRITERS = 8


async def race(store, racers):
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        rounds = line.split()
        asked = [(what, round, n) for what in RACES for round in rounds for n in range(int(racers))]
        random.shuffle(asked)
        heard = await asyncio.gather(*(RACES[what](store, round, n) for what, round, n in asked))
        got = {what: {round: [] for round in rounds} for what in RACES}
        for (what, round, n), it in zip(asked, heard, strict=True):
            got[what][round].append([me(round, n), it])
        say(json.dumps(got))


def me(round, n):
    return f"{round}/{os.getpid()}/{n}"


async def add(store, round, n):
    return await store.shelf.add(f"jti {round}", me(round, n).encode(), until=None)


async def swap(store, round, n):
    return await store.shelf.swap(f"grant {round}", b"old", me(round, n).encode(), until=None)


async def take(store, round, n):
    return await store.shelf.take(f"code {round}") is not None


async def rotate(store, round, n):
    name = me(round, n)
    got = await store.chains.rotate(f"old {round}", name, b"", name.encode(), until=None, grace=60)
    return type(got).__name__, getattr(got, "replay", b"").decode()


async def rob(store, round, n):
    name = f"once {me(round, n)}"
    got = await store.chains.rotate(f"once {round}", name, b"", b"", until=None, grace=0)
    return type(got).__name__


async def hold(store, round, n):
    return await store.leases.hold(f"lease {round}", until=time.time() + 60)


RACES = {"add": add, "swap": swap, "take": take, "rotate": rotate, "rob": rob, "hold": hold}


async def write(store, round):
    async def writer(w):
        family = f"{round}.{w}"
        await store.chains.begin(family, f"{family}.0", b"0", until=None)
        say(f"chain {family} 0")
        n = 0
        while True:
            code = f"{family}.{n}"
            assert await store.shelf.add(f"jti {code}", b"", until=None)
            say(f"jti {code}")
            await store.shelf.put(f"code {code}", b"", until=None)
            assert await store.shelf.take(f"code {code}") is not None
            say(f"code {code}")
            new = str(n + 1).encode()
            rotated = await store.chains.rotate(
                f"{family}.{n}", f"{family}.{n + 1}", new, new, until=None, grace=60
            )
            assert rotated == First()
            n += 1
            say(f"chain {family} {n}")

    await asyncio.gather(*(writer(w) for w in range(WRITERS)))


def say(line):
    os.write(1, f"{line}\n".encode())


async def main(what, url, argument):
    store = open_store(url, time.time)
    await store.open()
    await (race(store, argument) if what == "race" else write(store, argument))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
