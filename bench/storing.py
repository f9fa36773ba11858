"""Rotating refresh handles in a store, 32 at a time: how often, and at which cost to us.

    python -m bench.storing URL

On standard input: a line of JSON {"who", "seconds"}: "grouped" is the store as the server uses it,
"one by one" the same statement with a commit for each. On standard output: {"per_second",
"us", "many"}, with microseconds of our own processor time for each.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from tokenward.clock import now
from tokenward.server.stores import First, open_store

AT_A_TIME = 32
LIVES = 86_400.0
VALUE, REPLAY = b"v" * 500, b"r" * 1_500
"""As long as a sealed grant and a sealed answer are."""

Rotate = Callable[[str, str], Awaitable[None]]


async def grouped(url: str, seconds: float) -> dict[str, float]:
    """The store, as it is."""
    store = open_store(url, now)
    await store.open()

    async def rotate(old: str, new: str) -> None:
        outcome = await store.chains.rotate(
            old, new, VALUE, REPLAY, until=now() + LIVES, grace=10.0
        )
        if not isinstance(outcome, First):
            raise RuntimeError(f"a rotation was {outcome}")  # noqa: TRY004 - no programming error

    firsts = [secrets.token_hex(32) for _ in range(AT_A_TIME)]
    for first in firsts:
        await store.chains.begin(secrets.token_hex(8), first, VALUE, until=now() + LIVES)
    try:
        return await _measured(rotate, firsts, seconds)
    finally:
        await store.close()


async def one_by_one(url: str, seconds: float) -> dict[str, float]:
    """What one writes first: a connection from a pool, a transaction, three statements."""
    import psycopg  # noqa: PLC0415 - where there is a PostgreSQL

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as first:
        await first.execute(
            "CREATE TABLE IF NOT EXISTS plain (key text PRIMARY KEY, family text NOT NULL,"
            " value bytea, replay bytea, spent float8, until float8)"
        )
    idle: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(AT_A_TIME):
        idle.put_nowait(await psycopg.AsyncConnection.connect(url, prepare_threshold=1))

    async def rotate(old: str, new: str) -> None:
        connection = await idle.get()
        try:
            cursor = await connection.execute(
                "SELECT family FROM plain WHERE key = %s AND spent IS NULL FOR UPDATE", (old,)
            )
            (family,) = await cursor.fetchone()
            await connection.execute(
                "UPDATE plain SET spent = %s, value = NULL, replay = %s WHERE key = %s",
                (now(), REPLAY, old),
            )
            await connection.execute(
                "INSERT INTO plain (key, family, value, until) VALUES (%s, %s, %s, %s)",
                (new, family, VALUE, now() + LIVES),
            )
            await connection.commit()
        finally:
            idle.put_nowait(connection)

    firsts = [secrets.token_hex(32) for _ in range(AT_A_TIME)]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for key in firsts:
            await connection.execute(
                "INSERT INTO plain (key, family, value, until) VALUES (%s, %s, %s, %s)",
                (key, key, VALUE, now() + LIVES),
            )
    try:
        return await _measured(rotate, firsts, seconds)
    finally:
        while not idle.empty():
            await idle.get_nowait().close()


async def _measured(rotate: Rotate, firsts: list[str], seconds: float) -> dict[str, float]:
    many = 0
    until = time.monotonic() + seconds

    async def one(key: str) -> None:
        nonlocal many
        while time.monotonic() < until:
            new = secrets.token_hex(32)
            await rotate(key, new)
            key, many = new, many + 1

    began, used = time.monotonic(), time.process_time()
    await asyncio.gather(*(one(first) for first in firsts))
    lasted, used = time.monotonic() - began, time.process_time() - used
    return {"per_second": many / lasted, "us": used / many * 1e6, "many": many}


WAYS = {"grouped": grouped, "one by one": one_by_one}


def main(url: str) -> None:
    """Answer until nobody asks any more."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                said: dict[str, Any] = runner.run(WAYS[asked["who"]](url, asked["seconds"]))
        except Exception as problem:  # noqa: BLE001 - whatever a driver raises
            said = {"error": f"{type(problem).__name__}: {problem}"}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
