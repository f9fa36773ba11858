"""A line for each request on standard error, for those who want one.

Law of this module: no answer waits for a line. Lines are written by a thread of their own; if what
reads them does not keep up, some are lost, and the log says how many.
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Literal

import orjson

from tokenward.clock import Clock, now
from tokenward.server.watching import Note

EVERY = 0.05
"""Seconds that a line waits for others."""

MOST = 1_048_576
"""Bytes that wait to be written; more are lost."""

AT_ONCE = 4_096
"""Bytes that a pipe takes in one piece (PIPE_BUF), so that processes do not mix their lines."""

LAST = 1.0
"""Seconds that the last lines may take."""

_PLAIN = re.compile(r"[!#-<>-~]+")


@dataclass(slots=True, kw_only=True)
class RequestLog:
    """Lines about requests."""

    format: Literal["json", "text"] = "json"
    clock: Clock = now
    to: int = 2
    """The file descriptor they are written to."""

    _file: int = -1
    _lines: list[bytes] = field(default_factory=list)
    # Each of these is counted by one thread alone.
    _taken: int = 0
    _written: int = 0
    _lost: int = 0
    _told: int = 0
    _batches: SimpleQueue[list[bytes] | None] = field(default_factory=SimpleQueue)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    async def open(self) -> None:
        """Begin to write."""
        self._file = os.dup(self.to)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="tokenward-requests", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what is left, if it can be written soon."""
        if self._thread is not None:
            self._hand_over()
            self._loop = None
            self._batches.put(None)
            await asyncio.to_thread(self._thread.join, LAST)

    def write(self, note: Note) -> None:
        """A line about this one, soon."""
        if self._loop is None:
            return
        if self._taken - self._written > MOST:
            self._lost += 1
            return
        line = self._line(_fields(note))
        if not self._lines:
            self._loop.call_later(EVERY, self._hand_over)
        self._lines.append(line)
        self._taken += len(line)

    def _hand_over(self) -> None:
        if self._lines:
            self._batches.put(self._lines)
            self._lines = []

    def _work(self) -> None:
        try:
            while (batch := self._batches.get()) is not None:
                for piece in pieces(batch):
                    _all_of(self._file, piece)
                self._written += sum(map(len, batch))
                if lost := self._lost - self._told:
                    self._told += lost
                    said = f"{lost} lines about requests were lost"
                    _all_of(self._file, self._line({"message": said}))
        finally:
            os.close(self._file)

    def _line(self, said: dict[str, str | int | float]) -> bytes:
        if self.format == "text":
            rest = [f"{name}={_bare(it)}" for name, it in said.items() if name not in _FIRST]
            return " ".join([_stamp(self.clock()), str(said["message"]), *rest]).encode() + b"\n"
        first = {"time": _stamp(self.clock()), "level": "info", "logger": "tokenward.requests"}
        return orjson.dumps(first | said, option=orjson.OPT_APPEND_NEWLINE)


def pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, as many at a time as go ``AT_ONCE``."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > AT_ONCE:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece


def _all_of(file: int, piece: bytes) -> None:
    """Write it; if there is nobody any more who reads it, that is all right."""
    while piece:
        try:
            piece = piece[os.write(file, piece) :]
        except BlockingIOError:  # somebody has made standard error so; it is not only ours
            time.sleep(EVERY)
        except OSError:
            return


# What the message of a line has in it, too.
_FIRST = frozenset({"message", "method", "route", "status"})


def _fields(note: Note) -> dict[str, str | int | float]:
    """What there is to say; what is not known is not there."""
    said: dict[str, str | int | float] = {
        "message": f"{note.method} {note.route or '-'} {note.status}",
        "request_id": note.id,
        "method": note.method,
        "route": note.route,
        "status": note.status,
        "ms": int(note.seconds * 1_000_000) / 1_000,
        "address": note.address,
        "event": note.kind,
        "grant_type": note.grant_type,
        "client": note.client,
        "token": note.token,
        "outcome": note.outcome,
        "trace_id": note.trace_id,
    }
    return {name: value for name, value in said.items() if value != ""}


def _bare(value: str | float) -> str:
    """A value that cannot be taken for two, or for another line."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else orjson.dumps(text).decode()


def _stamp(at: float) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{stamp}.{int(at % 1 * 1_000):03d}Z"
