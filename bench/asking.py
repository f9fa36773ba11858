"""Asking a server over kept connections, at a rate or one after another, and timing each answer.

wrk asks as fast as it is answered. This asks at a fixed rate, whatever is answered, and measures
from when a question was due: a server that stalls is charged for all who would have come meanwhile.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, cast

PATIENCE = 10.0
"""Seconds for an answer."""

UNUSED = 3.0
"""Seconds after which a connection is not used again: a server may be about to close it."""


class Wrong(Exception):
    """An answer that is not the one it should be, or none."""


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, one question at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[Reply] | None = None
        self._read = b""
        self.used = time.monotonic()
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's say nothing of it

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, blank, rest = self._read.partition(b"\r\n\r\n")
        if not blank:
            return
        fields = head.lower()
        length = _length(fields)
        if len(rest) < length:
            return
        if b"\r\nconnection: close" in fields:
            self.close()
        self._read = rest[length:]
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Reply(int(head[9:12]), rest[:length]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Wrong(f"the server hung up ({exc or 'no reason given'})"))

    async def ask(self, request: bytes) -> Reply:
        """Send a whole request and wait; raises ``Wrong``."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._waiting
        except TimeoutError:
            self.close()
            raise Wrong(f"no answer within {PATIENCE:g} s") from None
        finally:
            self.used = time.monotonic()

    def close(self) -> None:
        """Use it no more."""
        self.open = False
        self._transport.close()


@dataclass(slots=True, kw_only=True)
class Pool:
    """So many connections to one server, each used in its turn."""

    port: int
    size: int
    _idle: deque[Connection] = field(default_factory=deque)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.size)

    async def ask(self, request: bytes, *expected: int) -> bytes:
        """The body of the answer; raises ``Wrong`` if its status is not expected, which is 200
        unless said."""
        async with self._room:
            connection = await self._connection()
            try:
                reply = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
            if connection.open:
                self._idle.append(connection)
        if reply.status not in (expected or (200,)):
            wanted = " or ".join(map(str, expected or (200,)))
            raise Wrong(f"{reply.status} instead of {wanted}: {reply.body[:200]!r}")
        return reply.body

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.popleft()
            if connection.open and time.monotonic() - connection.used < UNUSED:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(Connection, "127.0.0.1", self.port)
        except OSError as problem:
            raise Wrong(f"cannot connect: {problem.strerror}") from problem
        return made

    def close(self) -> None:
        """Close what is open."""
        while self._idle:
            self._idle.pop().close()


async def paced(
    rate: float, until: Callable[[], bool], ask: Callable[[float], Awaitable[None]]
) -> int:
    """Ask ``rate`` times a second, not waiting for answers; how often that was.

    ``ask`` hears when its question was due, by ``time.monotonic``. It must not raise.
    """
    under_way: set[asyncio.Future[None]] = set()
    began, asked = time.monotonic(), 0
    while not until():
        due = int((time.monotonic() - began) * rate) + 1
        for number in range(asked, due):
            task = asyncio.ensure_future(ask(began + number / rate))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        asked = max(asked, due)
        await asyncio.sleep(0.001)
    if under_way:
        await asyncio.wait(under_way, timeout=2 * PATIENCE)
    return asked


async def closed(
    many: int, until: Callable[[], bool], ask: Callable[[float], Awaitable[None]]
) -> int:
    """Ask again as soon as there is an answer, ``many`` at a time; how often that was."""
    asked = 0

    async def one() -> None:
        nonlocal asked
        while not until():
            await ask(time.monotonic())
            asked += 1

    await asyncio.gather(*(one() for _ in range(many)))
    return asked


def gathered(port: int, request: bytes, many: int, at_a_time: int = 16) -> list[bytes]:
    """The answers to the same question asked so many times; raises ``Wrong``."""

    async def gather() -> list[bytes]:
        pool = Pool(port=port, size=at_a_time)
        try:
            return await asyncio.gather(*(pool.ask(request) for _ in range(many)))
        finally:
            pool.close()

    return asyncio.run(gather())


@dataclass(slots=True)
class Latencies:
    """Seconds from when each question was due to its answer."""

    seconds: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Milliseconds within which this share of all was answered; 0 if nobody asked."""
        if not self.seconds:
            return 0.0
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000


async def hang_up(port: int, request: bytes) -> None:
    """Send this and be gone at once, without a word; from any address of the loopback."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(_anybody(), 0))
        writer.write(request)
        await writer.drain()
        writer.transport.abort()


async def never_finish(port: int, beginning: bytes, patience: float) -> bytes:
    """Send the beginning of a request and wait until the server loses patience; what it says.

    It comes from any address of the loopback, as ``hang_up`` does: what a server remembers of each
    address has to be forgotten again.
    """
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(_anybody(), 0)
        )
    except OSError as problem:
        raise Wrong(f"cannot connect: {problem.strerror}") from problem
    said = b""
    try:
        writer.write(beginning)
        async with asyncio.timeout(patience):
            with suppress(ConnectionError):
                said = await reader.read()
    except TimeoutError:
        raise Wrong(f"half a request was waited for {patience:g} s") from None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return said


def _anybody() -> str:
    """An address of the loopback, of which there are sixteen million."""
    return f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"  # noqa: S311


def _length(fields: bytes) -> int:
    """Of the body, as the lower-case head says."""
    _, found, rest = fields.partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0
