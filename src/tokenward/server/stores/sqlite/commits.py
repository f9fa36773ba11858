"""One thread writes, and whoever waits is committed together.

Making something durable takes the disk milliseconds, however little it is; so all that waits goes
into one transaction. Law: nobody hears of a write before its commit has returned, and whoever
spoils a group spoils it only for himself.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from tokenward.clock import Clock
from tokenward.server.stores import Counts, StoreUnavailable
from tokenward.server.stores.sqlite.file import busy, connect, create, identity, prepare

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection, float], T]
"""A step of a transaction, told the time."""

_LARGEST = 512
"""Writes in one transaction: other processes get a turn in between."""
_SHORT_TRIES = 50
"""So often we ask for the lock within a millisecond: most transactions take no longer."""
_PURGE_EVERY = 256
"""Writes between two rounds of clearing away; a round clears more than that."""


@dataclass(slots=True, eq=False)
class _Job:
    work: Work[Any]
    future: "asyncio.Future[Any]"
    since: float = field(default_factory=time.monotonic)
    result: Any = field(default=None, repr=False)
    problem: Exception | None = None


class GroupCommit:
    """A SQLite file that is read in the event loop and written in a thread of its own.

    A read is one look at memory or the system's cache, shorter than a change of threads, and in
    write-ahead mode nobody's writes hold it up.
    """

    def __init__(self, path: Path, clock: Clock, purge: Work[None], *, patience: float) -> None:
        self._path = path
        self._clock = clock
        self._purge = purge
        self._patience = patience
        self._reads = self._writes = self._commits = self._unpurged = 0
        self._reader: sqlite3.Connection | None = None

    @property
    def counts(self) -> Counts:
        return Counts(reads=self._reads, writes=self._writes, commits=self._commits)

    async def open(self) -> None:
        """Make or find the file and begin to serve. Raises ``WrongStore``."""
        if self._reader is not None:
            raise RuntimeError("this store is open")
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._serving = True
        self._closed: asyncio.Future[None] = self._loop.create_future()
        opened: asyncio.Future[sqlite3.Connection] = self._loop.create_future()
        Thread(target=self._run, args=(opened,), name=self._path.name, daemon=True).start()
        try:
            self._reader = await opened
        except BaseException:
            self._jobs.put(None)
            raise

    async def close(self) -> None:
        """Do what was asked for, then stop."""
        if self._reader is not None:
            self._reader = None
            self._jobs.put(None)
            await self._closed

    async def write(self, work: Work[T]) -> T:
        """Do this in a transaction, and return when it is durable."""
        self._writes += 1
        return await self._queued(work)

    async def read(self, work: Work[T]) -> T:
        """Do this with what has been committed so far."""
        self._reads += 1
        if self._reader is None:
            raise self._not_open()
        try:
            return work(self._reader, self._clock())
        except sqlite3.Error as problem:
            if busy(problem):  # somebody recovers the file after a crash: wait in line
                return await self._queued(work)
            raise self._told(problem) from problem

    async def ping(self, work: Work[object]) -> None:
        """Wait in line like everybody else."""
        await self._queued(work)

    async def _queued(self, work: Work[T]) -> T:
        if self._reader is None:
            raise self._not_open()
        job = _Job(work, self._loop.create_future())
        self._jobs.put(job)
        result: T = await job.future
        return result

    def _not_open(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._path} is not open")

    def _told(self, problem: Exception) -> Exception:
        """What callers are told; mistakes of ours, as opposed to trouble, stay what they are."""
        trouble = isinstance(problem, sqlite3.OperationalError | sqlite3.InternalError | OSError)
        if trouble or type(problem) is sqlite3.DatabaseError:
            return self._unavailable(problem)
        return problem

    def _unavailable(self, problem: Exception) -> StoreUnavailable:
        told = StoreUnavailable(f"{self._path}: {problem}")
        told.__cause__ = problem
        return told

    def _stopped(self) -> None:
        self._reader = None
        with suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    _settle(job.future, None, self._not_open())
        _settle(self._closed, None, None)

    # From here on: in the thread.

    def _run(self, opened: "asyncio.Future[sqlite3.Connection]") -> None:
        try:
            db, reader = self._open()
        except Exception as problem:  # noqa: BLE001 (whatever it is, open() raises it)
            self._in_loop(_settle, opened, None, self._told(problem))
            return
        self._in_loop(_settle, opened, reader, None)
        try:
            self._serve(db)
        finally:
            reader.close()
            db.close()
            self._in_loop(self._stopped)

    def _serve(self, db: sqlite3.Connection) -> None:
        waiting: list[_Job] = []
        while self._gather(waiting):
            if self._lock(db, waiting):
                self._gather(waiting)  # whoever came while we waited for the lock
                group, waiting = waiting[:_LARGEST], waiting[_LARGEST:]
                self._commit(db, [job for job in group if not job.future.cancelled()])
                self._answer(group)
                self._clear_away(db, len(group))

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        create(self._path)
        give_up = time.monotonic() + self._patience
        while True:
            self._identity = identity(self._path)
            with ExitStack() as undo:
                db = undo.enter_context(closing(connect(self._path)))
                reader = undo.enter_context(closing(connect(self._path)))
                try:
                    prepare(db, self._path)
                except sqlite3.Error as problem:
                    if not busy(problem) or time.monotonic() > give_up:
                        raise
                else:
                    if identity(self._path) == self._identity:
                        undo.pop_all()
                        return db, reader
                    # While we waited, a backup was put in its place.
            _pause()

    def _gather(self, waiting: list[_Job]) -> bool:
        """Whoever waits; if nobody does, wait for somebody. ``False``: nobody will come."""
        with suppress(Empty):
            while self._serving:
                job = self._jobs.get(block=not waiting)
                if job is None:
                    self._serving = False
                else:
                    waiting.append(job)
        return bool(waiting)

    def _lock(self, db: sqlite3.Connection, waiting: list[_Job]) -> bool:
        """Begin a transaction, as soon as no other process has one.

        Those who have waited for too long are told so and leave; ``False`` if nobody is left.
        """
        tries = 0
        while waiting:
            try:
                if identity(self._path) != self._identity:
                    raise OSError("this file has been replaced by another")  # noqa: TRY301
                db.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, OSError) as problem:
                _rollback(db)
                too_long = time.monotonic() - self._patience
                gone = [job for job in waiting if not busy(problem) or job.since <= too_long]
                for job in gone:
                    job.problem = self._unavailable(problem)
                self._answer(gone)
                waiting[:] = [job for job in waiting if job.problem is None]
                tries += 1
                _pause(0.001 if tries < _SHORT_TRIES else 0.01)
            else:
                return True
        return False

    def _commit(self, db: sqlite3.Connection, group: list[_Job]) -> None:
        """Do all of it or, where somebody spoils it, each by itself."""
        changes = db.total_changes
        try:
            now = self._clock()
            for job in group:
                job.result = job.work(db, now)
        except Exception as problem:  # noqa: BLE001 (whatever it is, its caller must hear it)
            _rollback(db)
            if len(group) == 1:
                group[0].problem = self._told(problem)
            else:
                for job in group:
                    if self._lock(db, [job]):
                        self._commit(db, [job])
            return
        try:
            db.execute("COMMIT")
            self._commits += db.total_changes > changes
        except sqlite3.Error as problem:
            _rollback(db)
            for job in group:
                job.problem = self._unavailable(problem)

    def _clear_away(self, db: sqlite3.Connection, written: int) -> None:
        """What has expired, now and then. Where that fails, it is left for the next time."""
        self._unpurged += written
        if self._unpurged >= _PURGE_EVERY:
            self._unpurged = 0
            with suppress(Exception):
                db.execute("BEGIN IMMEDIATE")
                self._purge(db, self._clock())
                db.execute("COMMIT")
            _rollback(db)

    def _answer(self, jobs: list[_Job]) -> None:
        self._in_loop(_settle_all, jobs)

    def _in_loop(self, tell: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is listening
            self._loop.call_soon_threadsafe(tell, *args)


def _rollback(db: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # where it fails, so does the next BEGIN, which is heard of
        db.rollback()


def _settle_all(jobs: list[_Job]) -> None:
    for job in jobs:
        _settle(job.future, job.result, job.problem)


def _settle(future: "asyncio.Future[Any]", result: object, problem: Exception | None) -> None:
    if future.done():  # cancelled, or told before
        return
    if problem is None:
        future.set_result(result)
    else:
        future.set_exception(problem)


def _pause(longest: float = 0.001) -> None:
    """A moment, of a length of chance: two who wait must not meet again and again."""
    time.sleep(random.uniform(longest / 5, longest))  # noqa: S311 (no secret)
