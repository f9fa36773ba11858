"""The audit trail as JSON lines, in a file or on standard output.

Lines are written in batches, and never dropped without their request being refused: what cannot
be accounted for is not handed out. ``behind``: at most 50 ms after they were recorded, while the
answer is on its way; requests first wait for room and then are refused. ``before``: a line is on
the disk, by ``fsync``, before its answer leaves; those who come in the meantime share the next
``fsync``.
"""

import asyncio
import logging
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tokenward.clock import now
from tokenward.oauth.errors import TemporarilyUnavailable

_log = logging.getLogger("tokenward.server")

BATCH_SECONDS = 0.05
MOST_BYTES = 1_048_576
PATIENCE_SECONDS = 5.0
REST_SECONDS = 0.5
"""After a failure, until the disk is tried again although nobody asks."""

SETTLED_SECONDS = 0.01
"""After which a line that does not grow any more will never have an end."""

STDOUT = "stdout"


@dataclass(slots=True)
class Trail:
    """A sink for audit events; ``to`` is a path or ``stdout``.

    A file that was moved away, as ``logrotate`` does, is left alone from the next batch on: a new
    one is begun under the same name. Half a line, left by a process that was killed while it wrote,
    stays by itself: no other line is lost with it.
    """

    to: str
    before: bool = False
    """Whether an event is durable before ``record`` returns."""

    _file: int = -1
    _lines: list[bytes] = field(default_factory=list)
    _bytes: int = 0
    _torn: bytes = b""
    """What is missing of a line that was half written when the disk was full."""

    _broken: bool = False
    _refused: int = 0
    """Requests refused since it could last be written (``before``)."""

    _durable: asyncio.Future[None] | None = None
    """Done when what is queued now is on the disk, or refused (``before``)."""

    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, for its owner's eyes only; raises ``OSError``."""
        if self.to == STDOUT:
            self._file = os.dup(1)
        else:
            self._file = self._opened()
            if os.fstat(self._file).st_mode & stat.S_IROTH:
                _log.warning("%s can be read by everybody on this machine: chmod 600", self.to)
        if self.before:
            os.fsync(self._file)
        self._writer = asyncio.create_task(self._write())

    async def record(self, event: dict[str, object]) -> None:
        """Queue one event, or keep it (``before``); ``TemporarilyUnavailable`` if neither can be
        done."""
        if self._bytes > MOST_BYTES:
            await self._wait_for_room()
        line = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        if not self._lines:
            self._due.set()
        self._lines.append(line)
        self._bytes += len(line)
        if self.before:
            await self._kept()

    async def ping(self) -> None:
        """Return if there is room; raises ``TemporarilyUnavailable`` (readiness)."""
        if self._bytes > MOST_BYTES or self._broken:
            raise _full()

    async def close(self) -> None:
        """Write what is left, then stop."""
        self._closed.set()
        self._due.set()
        if self._writer is not None:
            await self._writer
        with suppress(OSError):
            await self._flush()
        if self._bytes:
            _log.error("%d bytes of the audit trail could not be written", self._bytes)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def _kept(self) -> None:
        """Wait until what is queued is on the disk, with all who wait for the same."""
        if (durable := self._durable) is None:
            durable = self._durable = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.shield(durable)
        except (TimeoutError, OSError):
            raise _full() from None

    async def _wait_for_room(self) -> None:
        self._room.clear()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._room.wait()
        except TimeoutError:
            raise _full() from None

    async def _write(self) -> None:
        while not self._closed.is_set():
            await self._due.wait()
            if not self.before:
                await self._pause(BATCH_SECONDS)
            self._due.clear()
            try:
                await self._flush()
            except OSError:  # disk full: what is queued stays queued, and is tried again
                if self.before:
                    await self._pause(REST_SECONDS)
            if (self._lines or self._broken) and not self._closed.is_set():
                self._due.set()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    async def _flush(self) -> None:
        batch, self._lines = self._lines, []
        durable, self._durable = self._durable, None
        begin = self._torn + self._interrupted()
        data = begin + b"".join(batch)
        written, failure = await asyncio.to_thread(self._put, data)
        rest = data[written:]
        if written >= len(begin):
            self._refused = 0
        if failure is not None and self.before:
            # Those who wait are refused; only the line that has begun must come to its end.
            begun = written > 0 and data[written - 1 : written] != b"\n"
            unfinished = begun or (not written and self._torn)
            self._torn = rest[: rest.index(b"\n") + 1] if rest and unfinished else b""
            self._refused += len(batch)
            rest = b""
        else:
            self._torn = b""
        self._lines[:0] = [rest] if rest else []
        self._bytes = sum(map(len, self._lines))
        if self._bytes <= MOST_BYTES:
            self._room.set()
        if (failure is not None) is not self._broken:
            self._broken = failure is not None
            why = failure.strerror if failure else "it can be written again"
            _log.error("the audit trail: %s", why)
        if durable is not None and not durable.done():
            if failure is None:
                durable.set_result(None)
            else:
                durable.set_exception(failure)
                durable.exception()  # perhaps nobody waits any more, and that is no mistake
        if failure is not None:
            raise failure

    def _interrupted(self) -> bytes:
        """A line about those who were refused: the trail does not look whole where it is not."""
        if not self._refused:
            return b""
        told = {"time": int(now() * 1_000) / 1_000, "event": "audit", "outcome": "interrupted"}
        return orjson.dumps(told | {"refused": self._refused}, option=orjson.OPT_APPEND_NEWLINE)

    # ── in a thread: what waits for the disk ────────────────────────────────────────────────────

    def _put(self, data: bytes) -> tuple[int, OSError | None]:
        """How many bytes of this were written, and what was in the way of the rest."""
        written = 0
        try:
            if self.to != STDOUT and not self._torn:
                self._follow()
                if self._half_a_line():
                    os.write(self._file, b"\n")
            while written < len(data):
                written += os.write(self._file, data[written:])
            if self.before:
                os.fsync(self._file)
        except OSError as failure:
            return written, failure
        return written, None

    def _follow(self) -> None:
        """Go on in a new file if ours does not have its name any more."""
        ours = os.fstat(self._file)
        with suppress(FileNotFoundError):
            named = os.stat(self.to)  # noqa: PTH116 - once per batch, and a Path is made of words
            if (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino):
                return
        try:
            file = self._opened()
        except OSError as failure:
            if not ours.st_nlink:  # what is written there now, nobody ever reads
                raise
            _log.warning("the audit trail was moved, and goes on there: %s", failure.strerror)
            return
        os.close(self._file)
        self._file = file

    def _half_a_line(self) -> bool:
        """Whether the file ends in the middle of a line that nobody is writing."""
        state = os.fstat(self._file)
        if not stat.S_ISREG(state.st_mode) or not state.st_size:
            return False
        try:
            reader = os.open(self.to, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it may be ours to write and not to read
            return False
        try:
            while os.pread(reader, 1, state.st_size - 1) not in {b"\n", b""}:
                time.sleep(SETTLED_SECONDS)
                before, state = state, os.fstat(self._file)
                if state.st_size == before.st_size:
                    return True
        finally:
            os.close(reader)
        return False

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(self.to, flags, 0o600)
        if self.before:  # the name must last, too
            folder = os.open(Path(self.to).parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return file


def _full() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(detail="the audit trail cannot be written")
