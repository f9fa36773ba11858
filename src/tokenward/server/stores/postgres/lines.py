"""Those who wait for PostgreSQL stand in line; whoever stands there when it is free goes together.

Law: nobody waits without an end, and nobody's write is done a second time. If the connection ends
before the answer came, the write may have happened: its caller hears ``StoreUnavailable`` and may
present it again, and what happens once happens once. Reads are asked again by themselves.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from tokenward.server.stores import StoreUnavailable
from tokenward.server.stores.postgres.wire import Broken, Wire

_LARGEST = 512
"""Those who go together: the others, and other processes, get a turn in between."""
_SOON, _LATER = 0.05, 1.0
"""Seconds between two tries to connect, at first and at last."""


@dataclass(slots=True, eq=False)
class Job:
    """What somebody waits for."""

    order: tuple[int, bytes]
    """Where it comes in its group."""
    work: str
    what: tuple[Any, ...] = field(repr=False)
    future: "asyncio.Future[Any]"
    since: float

    def tell(self, result: object) -> None:
        """Say what came of it; an exception is raised where it is waited for."""
        if self.future.done():  # cancelled, or told before
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


Connect: TypeAlias = Callable[[Callable[[], None]], Awaitable[Wire]]
"""Makes a connection, told what to call when that is lost; raises whatever it likes."""
Serve: TypeAlias = Callable[[Wire, list[Job]], Awaitable[None]]
"""Does what a group waits for, and tells all of it. Raises ``Broken``."""


class Line:
    """One connection, and those who wait for it. ``patience``: the seconds that anybody waits."""

    def __init__(
        self,
        connect: Connect,
        serve: Serve,
        told: Callable[[object], StoreUnavailable],
        *,
        patience: float,
        again: bool,
    ) -> None:
        self._connect = connect
        self._serve = serve
        self._told = told
        self._patience = patience
        self._again = again
        self.is_open = False
        """Whether it serves."""

    async def open(self) -> None:
        """Connect and begin to serve; raises what ``connect`` raises."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        self._going: list[Job] = []
        self._gone_since = 0.0
        self._lost_since: float | None = None
        self._why: object = ""
        self._timer: asyncio.TimerHandle | None = None
        self._something = asyncio.Event()
        self._wire = await self._connect(self._something.set)
        self.is_open = True
        self._serving = self._loop.create_task(self._run())

    async def close(self) -> None:
        """Do what was asked for, then hang up. Nobody waits for a connection any longer."""
        if not self.is_open:
            return
        self.is_open = False
        self._something.set()
        if self._wire.broken:
            self._serving.cancel()
        await asyncio.wait({self._serving})
        self._tell([*self._going, *self._waiting], self._why or "it was closed")
        self._waiting.clear()
        self._wire.close()
        if self._timer is not None:
            self._timer.cancel()

    def wait(self, order: tuple[int, bytes], work: str, *what: Any) -> "asyncio.Future[Any]":
        """Stand in line; the future is what comes of it."""
        if not self.is_open:
            raise self._told("it is not open")
        now = self._loop.time()
        if self._lost_since is not None and now - self._lost_since > self._patience:
            raise self._told(self._why)
        future = self._loop.create_future()
        self._waiting.append(Job(order, work, what, future, now))
        self._something.set()
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._look)
        return future

    async def _run(self) -> None:
        pause = _SOON
        while self.is_open or (self._waiting and not self._wire.broken):
            if self._wire.broken:
                pause = _SOON if await self._connected(pause) else min(2 * pause, _LATER)
            elif self._waiting:
                await self._go(self._wire)
                # Those who were just told may want something more: let them join the others.
                await asyncio.sleep(0)
            else:
                self._something.clear()
                await self._something.wait()

    async def _go(self, wire: Wire) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST))]
        self._going = [job for job in group if not job.future.done()]
        self._gone_since = self._loop.time()
        try:
            if self._going:
                await self._serve(wire, self._going)
        except Broken as problem:
            self._why = problem
            if self._again:
                self._waiting.extendleft(
                    job for job in reversed(self._going) if not job.future.done()
                )
            else:
                self._tell(self._going, problem)
        except Exception as mistake:  # noqa: BLE001 (whatever it is, its callers must hear it)
            for job in self._going:
                job.tell(mistake)
            wire.close("we made a mistake")  # who knows what is still to come
        self._going = []

    async def _connected(self, pause: float) -> bool:
        """Try once; if that fails, wait for a moment of chance, so that not all come at once."""
        if self._lost_since is None:
            self._lost_since = self._loop.time()
        try:
            self._wire = await self._connect(self._something.set)
        except Exception as problem:  # noqa: BLE001 (whatever it is, we try again)
            self._why = problem
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (no secret)
            return False
        self._lost_since, self._why = None, ""
        return True

    def _look(self) -> None:
        """Send those home who have waited for too long, and wait no longer for an answer."""
        self._timer = None
        late = self._loop.time() - self._patience
        while self._waiting and self._waiting[0].since <= late:
            self._tell([self._waiting.popleft()], self._why or "too many are waiting")
        if self._going and self._gone_since <= late:
            self._wire.close(f"it has not answered within {self._patience:g} seconds")
        since = [job.since for job in islice(self._waiting, 1)]
        if self._going:
            since.append(max(self._gone_since, late))
        if since:
            self._timer = self._loop.call_at(min(since) + self._patience, self._look)

    def _tell(self, jobs: Iterable[Job], problem: object) -> None:
        for job in jobs:
            job.tell(self._told(problem))
