"""Hub keys: for whom each is, and whether it is still good. Their secrets are not here.

A key that was disabled stays in the table, so that it is known what it was, and is in no list.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, insert, select, update

from tokenward.clock import Clock
from tokenward.server.records.numbering import Refused, changed, lock, rows
from tokenward.server.records.opening import answering
from tokenward.server.records.tables import hub_keys

_OF = "hub-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKey:
    """One key, without its secret."""

    key: str
    caller: str
    """The ``[callers.<name>]`` it is for."""

    type: str
    secured: bool
    """Whether it has a secret."""

    made: float = 0.0
    """Seconds since the epoch."""

    disabled: float | None = None
    """Since when it is good for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubKeys:
    """All of them. Whatever is asked may raise ``StoreUnavailable``."""

    engine: Engine = field(repr=False)
    clock: Clock

    def all(self) -> list[HubKey]:
        """Every one there ever was, those of one caller together."""
        with answering(), self.engine.begin() as connection:
            return _keys(connection)

    def edition(self) -> tuple[int, tuple[HubKey, ...]]:
        """Those that are good, and the number of this list."""
        with answering(), self.engine.begin() as connection:
            number = lock(connection, _OF)
            return number, tuple(it for it in _keys(connection) if it.disabled is None)

    def add(self, key: HubKey) -> HubKey:
        """Keep a new key; raises ``Refused`` if there is one like it, good or not."""
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            if any(it.key == key.key for it in _keys(connection)):
                raise Refused(f"there is a key {key.key} already")
            connection.execute(
                insert(hub_keys).values(
                    key=key.key,
                    caller=key.caller,
                    type=key.type,
                    secured=int(key.secured),
                    made=self.clock(),
                    disabled=None,
                )
            )
            return _key(connection, key.key)

    def disable(self, key: str) -> HubKey:
        """Let it be good for nothing from now on; raises ``Refused`` if there is none."""
        with answering(), self.engine.begin() as connection:
            before = _key(connection, key)
            if before.disabled is not None:
                return before
            changed(connection, _OF)
            at = self.clock()
            connection.execute(update(hub_keys).where(hub_keys.c.key == key).values(disabled=at))
            return _key(connection, key)


def _key(connection: Connection, key: str) -> HubKey:
    for it in _keys(connection):
        if it.key == key:
            return it
    raise Refused(f"there is no key {key}")


def _keys(connection: Connection) -> list[HubKey]:
    # Sorted here: databases have languages, and order text by them.
    return sorted(
        (
            HubKey(
                key=row.key,
                caller=row.caller,
                type=row.type,
                secured=bool(row.secured),
                made=row.made,
                disabled=row.disabled,
            )
            for row in rows(connection, select(hub_keys))
        ),
        key=lambda it: (it.caller, it.made, it.key),
    )
