"""One connection to PostgreSQL: a question, then its answer.

psycopg connects (names, certificates, passwords); what is asked afterwards goes straight to libpq,
in its binary format, because a cursor costs more than the ten rotations it would carry.

Law: an answer is whole or there is none, and who was not answered cannot know whether it was done.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

TEXT, BYTES, FLOAT = 25, 17, 701
"""What arrays are made of, by PostgreSQL's numbers for types (pg_type.oid)."""

_BINARY = 1
_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)

_array = struct.Struct("!iiiii").pack
_length = struct.Struct("!i").pack
_double = struct.Struct("!d").pack


class Broken(Exception):
    """The connection is no more. What had been asked may have been done, wholly, or not at all."""


class Refused(Exception):
    """PostgreSQL would not do it, and has not done any of it."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code
        """The five letters by which PostgreSQL names the reason (SQLSTATE)."""


class Wire:
    """A connection that has been made. It belongs to one event loop, and to one asker at a time."""

    def __init__(self, connection: "AsyncConnection[Any]", lost: Callable[[], None]) -> None:
        self._connection = connection  # whoever lets go of it closes it
        self._libpq = connection.pgconn
        self._socket = connection.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._prepared: dict[str, bytes] = {}
        self._answer: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None
        self._lost = lost
        self._trouble = ""
        self._writing = False
        self._loop.add_reader(self._socket, self._read)

    @property
    def broken(self) -> bool:
        return bool(self._trouble)

    async def ask(self, statement: str, *parameters: bytes) -> PGresult:
        """Have this done in a transaction of its own; what comes back is binary.

        Raises ``Refused`` and ``Broken``. Not to be cancelled.
        """
        name = self._prepared.get(statement)
        if name is None:
            name = f"tokenward_{len(self._prepared)}".encode()
            await self._sent(self._libpq.send_prepare, name, statement.encode())
            self._prepared[statement] = name
        formats = [_BINARY] * len(parameters)
        return await self._sent(self._libpq.send_query_prepared, name, parameters, formats, _BINARY)

    def close(self, why: str = "it was closed") -> None:
        """Hang up, whatever is under way."""
        if self._trouble:
            return
        self._trouble = why
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._libpq.finish()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(why))
        self._lost()

    async def _sent(self, send: Callable[..., None], *what: object) -> PGresult:
        if self._trouble:
            raise Broken(self._trouble)
        answer: asyncio.Future[PGresult] = self._loop.create_future()
        self._answer = answer
        try:
            send(*what)
            self._write()
        except OperationalError as problem:
            self.close(str(problem))
        result = await answer
        if result.status not in _GOOD:
            raise Refused(
                _field(result, DiagnosticField.SQLSTATE) or "XX000",
                _field(result, DiagnosticField.MESSAGE_PRIMARY) or "it did not say why",
            )
        return result

    def _write(self) -> None:
        """Send what is left to send."""
        try:
            left = self._libpq.flush()
        except OperationalError as problem:
            self.close(str(problem))
            return
        if left and not self._writing:
            self._loop.add_writer(self._socket, self._write)
        elif self._writing and not left:
            self._loop.remove_writer(self._socket)
        self._writing = bool(left)

    def _read(self) -> None:
        """Something has come in, or the other side has hung up."""
        try:
            self._libpq.consume_input()
            while self._answer is not None and not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    self._tell()
                    break
                if self._result is None or result.status not in _GOOD:
                    self._result = result
        except OperationalError as problem:
            self.close(str(problem))
            return
        if self._libpq.status != ConnStatus.OK:
            self.close(self._libpq.get_error_message())

    def _tell(self) -> None:
        answer, self._answer = self._answer, None
        result, self._result = self._result, None
        # An answer that ends in the end of the connection may be the word before a commit or the
        # one after it: it tells nothing.
        if answer is not None and result is not None and self._libpq.status == ConnStatus.OK:
            answer.set_result(result)
        elif answer is not None:
            self._answer = answer
            self.close(self._libpq.get_error_message())


def texts(items: Sequence[bytes]) -> bytes:
    """An array of text, each in UTF-8, as PostgreSQL reads it."""
    return _written(TEXT, items)


def blobs(items: Sequence[bytes]) -> bytes:
    """An array of bytea, as PostgreSQL reads it."""
    return _written(BYTES, items)


def floats(items: Sequence[float]) -> bytes:
    """An array of double precision, as PostgreSQL reads it."""
    return _written(FLOAT, [_double(it) for it in items])


def number(it: float) -> bytes:
    """One double precision."""
    return _double(it)


def _written(type_: int, items: Sequence[bytes]) -> bytes:
    """One dimension, no NULLs, the type, how many, numbered from one; then each with its length."""
    parts = [_array(1, 0, type_, len(items), 1)]
    for it in items:
        parts += _length(len(it)), it
    return b"".join(parts)


def _field(result: PGresult, which: DiagnosticField) -> str:
    return (result.error_field(which) or b"").decode(errors="replace")
