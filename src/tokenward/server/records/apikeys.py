"""API keys: for whom each is, until when, and what it is recognised by.

A key that was revoked stays in the table, so that it is known what it was, and is in no list.
"""

import json
from dataclasses import dataclass, field
from math import inf, isinf

from sqlalchemy import Connection, Engine, insert, select, update

from tokenward.clock import Clock
from tokenward.server.apikeys import Entry
from tokenward.server.records.numbering import Refused, changed, lock, rows
from tokenward.server.records.opening import answering
from tokenward.server.records.tables import api_keys

_OF = "api-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key, as it is shown: nobody can get it back."""

    entry: Entry
    made: float
    """Seconds since the epoch."""

    revoked: float | None = None
    """Since when it is good for nothing."""

    def state(self, now: float) -> str:
        """``good``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.entry.expires <= now else "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeys:
    """All of them. Whatever is asked may raise ``StoreUnavailable``."""

    engine: Engine = field(repr=False)
    clock: Clock

    def all(self) -> list[ApiKey]:
        """Every one there ever was, those of one caller and name together."""
        with answering(), self.engine.begin() as connection:
            return _keys(connection)

    def edition(self) -> tuple[int, tuple[Entry, ...]]:
        """The list as workers know it, and its number."""
        with answering(), self.engine.begin() as connection:
            number = lock(connection, _OF)
            now = self.clock()
            return number, tuple(it.entry for it in _keys(connection) if it.state(now) == "good")

    def add(self, entry: Entry) -> ApiKey:
        """Keep a new key; raises ``Refused`` if its name is somebody else's."""
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            at = self.clock()
            for it in _keys(connection):
                same = (it.entry.caller, it.entry.name) == (entry.caller, entry.name)
                if same and it.state(at) == "good" and it.entry.owner != entry.owner:
                    raise Refused(
                        f"{entry.name} has a key already that {it.entry.owner} is responsible for"
                    )
                if it.entry.id == entry.id:
                    raise Refused(f"there is a key {entry.id} already")
            connection.execute(
                insert(api_keys).values(
                    id=entry.id,
                    caller=entry.caller,
                    name=entry.name,
                    owner=entry.owner,
                    claims=json.dumps(dict(entry.claims)),
                    digest=entry.digest,
                    made=at,
                    expires=None if isinf(entry.expires) else entry.expires,
                    revoked=None,
                )
            )
            return _key(connection, entry.id)

    def expire(self, id: str, at: float) -> ApiKey:
        """Let it end then, in seconds since the epoch.

        Raises ``Refused`` if there is none, or if it would end later than it does.
        """
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            before = _key(connection, id)
            if before.state(self.clock()) != "good":
                raise Refused(f"key {id} is {before.state(self.clock())} already")
            if at > before.entry.expires:
                raise Refused(f"key {id} ends before that; no key is good for longer than it was")
            connection.execute(update(api_keys).where(api_keys.c.id == id).values(expires=at))
            return _key(connection, id)

    def revoke(self, id: str) -> ApiKey:
        """Let it be good for nothing from now on; raises ``Refused`` if there is none."""
        with answering(), self.engine.begin() as connection:
            before = _key(connection, id)
            if before.revoked is not None:
                return before
            changed(connection, _OF)
            revoked = self.clock()
            connection.execute(update(api_keys).where(api_keys.c.id == id).values(revoked=revoked))
            return _key(connection, id)


def _key(connection: Connection, id: str) -> ApiKey:
    for it in _keys(connection):
        if it.entry.id == id:
            return it
    raise Refused(f"there is no key {id}")


def _keys(connection: Connection) -> list[ApiKey]:
    # Sorted here: databases have languages, and order text by them.
    return sorted(
        (
            ApiKey(
                entry=Entry(
                    id=row.id,
                    caller=row.caller,
                    name=row.name,
                    owner=row.owner,
                    claims=json.loads(row.claims),
                    digest=row.digest,
                    expires=inf if row.expires is None else row.expires,
                ),
                made=row.made,
                revoked=row.revoked,
            )
            for row in rows(connection, select(api_keys))
        ),
        key=lambda it: (it.entry.caller, it.entry.name, it.made, it.entry.id),
    )
