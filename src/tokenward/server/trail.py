"""The audit trail as JSON lines, in a file or on standard output.

Lines are written in batches, at most 50 ms after they were recorded (``audit = "behind"``), and
never dropped: if they cannot be written, requests first wait and then are refused, because what
cannot be accounted for is not handed out.
"""

import asyncio
import logging
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tokenward.oauth.errors import TemporarilyUnavailable

_log = logging.getLogger("tokenward.server")

BATCH_SECONDS = 0.05
MOST_BYTES = 1_048_576
PATIENCE_SECONDS = 5.0
STDOUT = "stdout"


@dataclass(slots=True)
class Trail:
    """A sink for audit events; ``to`` is a path or ``stdout``."""

    to: str
    _file: int = -1
    _lines: list[bytes] = field(default_factory=list)
    _bytes: int = 0
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, for its owner's eyes only; raises ``OSError``."""
        if self.to == STDOUT:
            self._file = os.dup(1)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(Path(self.to), flags, 0o600)
            if os.fstat(self._file).st_mode & stat.S_IROTH:
                _log.warning("%s can be read by everybody on this machine: chmod 600", self.to)
        self._writer = asyncio.create_task(self._write())

    async def record(self, event: dict[str, object]) -> None:
        """Queue one event; raises ``TemporarilyUnavailable`` if there is no room for it."""
        if self._bytes > MOST_BYTES:
            await self._wait_for_room()
        line = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        if not self._lines:
            self._due.set()
        self._lines.append(line)
        self._bytes += len(line)

    async def ping(self) -> None:
        """Return if there is room; raises ``TemporarilyUnavailable`` (readiness)."""
        if self._bytes > MOST_BYTES:
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
            with suppress(TimeoutError):
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._closed.wait()
            self._due.clear()
            with suppress(OSError):  # disk full: what is queued stays queued, and is tried again
                await self._flush()
            if self._lines and not self._closed.is_set():
                self._due.set()

    async def _flush(self) -> None:
        batch, self._lines = self._lines, []
        data = b"".join(batch)
        written = 0
        try:
            while written < len(data):
                written += await asyncio.to_thread(os.write, self._file, data[written:])
        finally:
            rest = data[written:]
            self._lines[:0] = [rest] if rest else []
            self._bytes = sum(map(len, self._lines))
            if self._bytes <= MOST_BYTES:
                self._room.set()


def _full() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(detail="the audit trail cannot be written")
