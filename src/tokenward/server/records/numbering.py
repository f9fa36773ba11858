"""Lists and their numbers: what changes a list gives it the next one.

Law of this module: both in one transaction and under one lock, so that a list and its number say
the same to everybody.
"""

from typing import Any

from sqlalchemy import Connection, select, update

from tokenward.server.records.tables import editions


class Refused(Exception):
    """What was asked for cannot be; the text says why."""


def lock(connection: Connection, of: str) -> int:
    """The number of the list; nobody changes it until this transaction ends."""
    asked = select(editions.c.number).where(editions.c.of == of).with_for_update()
    return int(connection.execute(asked).scalar_one())


def changed(connection: Connection, of: str) -> None:
    """Give the list its next number."""
    number = lock(connection, of) + 1
    connection.execute(update(editions).where(editions.c.of == of).values(number=number))


def rows(connection: Connection, asked: Any) -> list[Any]:
    """All rows that were asked for."""
    return list(connection.execute(asked))
