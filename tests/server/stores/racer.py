"""A process of its own that uses a SQLite store; ``test_sqlite_processes`` starts and kills it.

``racer.py race PATH`` runs four racers for each round it reads from its input, and writes what they
got as a line of JSON. ``racer.py write PATH ROUND`` writes as fast as it can, and for each thing
that the store acknowledged a line of what it was.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from tokenward.server.stores import First
from tokenward.server.stores.sqlite import SQLite

RACERS = 4
WRITERS = 8


async def race(store):
    for line in sys.stdin:
        round = line.strip()
        results = await asyncio.gather(*(one(store, round, n) for n in range(RACERS)))
        say(json.dumps(results))


async def one(store, round, n):
    me = f"{round}/{os.getpid()}/{n}"
    added, taken, rotated, robbed, held = await asyncio.gather(
        store.shelf.add(f"jti {round}", me.encode(), until=None),
        store.shelf.take(f"code {round}"),
        store.chains.rotate(f"old {round}", me, b"", me.encode(), until=None, grace=60),
        store.chains.rotate(f"once {round}", f"once {me}", b"", b"", until=None, grace=0),
        store.leases.hold(f"lease {round}", until=time.time() + 60),
    )
    return {
        "me": me,
        "added": added,
        "taken": taken is not None,
        "rotated": type(rotated).__name__,
        "replay": getattr(rotated, "replay", b"").decode(),
        "robbed": type(robbed).__name__,
        "held": held,
    }


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


async def main(what, path, *rest):
    store = SQLite(Path(path), time.time)
    await store.open()
    await (race(store) if what == "race" else write(store, *rest))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
