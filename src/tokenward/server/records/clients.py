"""Clients that are not in the configuration file, and their secrets.

Law of this module: every change gives the list the next number in the same transaction, under one
lock, so that a list and its number say the same to everybody.
"""

from dataclasses import dataclass, field, replace
from math import inf, isinf

from sqlalchemy import Connection, Engine, delete, insert, select, update

from tokenward.clock import Clock
from tokenward.oauth.scope import Scope
from tokenward.server.directory import Entries, Entry
from tokenward.server.hashes import Known
from tokenward.server.records.numbering import Refused, changed, lock, rows
from tokenward.server.records.opening import answering
from tokenward.server.records.tables import client_secrets, clients

MOST_SECRETS = 8
"""Secrets of one client: all of them are compared each time."""

_OF = "clients"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One secret, as it is shown: nobody can get it back."""

    known: Known
    made: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client, as it is shown."""

    id: str
    client_name: str = ""
    contact: str = ""
    grant_types: frozenset[str]
    scope: Scope | None = None
    default: str = ""
    registered: float = 0.0
    """Seconds since the epoch."""

    disabled: float | None = None
    """Since when it may not come in."""

    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    """By name."""

    def entry(self) -> Entry:
        """What a token endpoint has to know of it."""
        return Entry(
            id=self.id,
            grant_types=self.grant_types,
            scope=self.scope,
            default=self.default,
            disabled=self.disabled is not None,
            secrets=tuple(one.known for one in self.secrets),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """All of them. Whatever is asked may raise ``StoreUnavailable``."""

    engine: Engine = field(repr=False)
    clock: Clock

    def all(self) -> list[Client]:
        """Everyone, by id."""
        with answering(), self.engine.begin() as connection:
            return _clients(connection)

    def get(self, id: str) -> Client:
        """One of them; raises ``Refused`` if there is none."""
        with answering(), self.engine.begin() as connection:
            return _client(connection, id)

    def edition(self) -> tuple[int, Entries]:
        """The list as workers know it, and its number."""
        with answering(), self.engine.begin() as connection:
            number = lock(connection, _OF)
            return number, tuple(it.entry() for it in _clients(connection))

    def add(self, client: Client, secret: Known) -> Client:
        """Register a client with its first secret; raises ``Refused`` if it is there."""
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            if rows(connection, select(clients.c.id).where(clients.c.id == client.id)):
                raise Refused(f"client {client.id} is registered already")
            at = self.clock()
            connection.execute(
                insert(clients).values(
                    id=client.id,
                    client_name=client.client_name,
                    contact=client.contact,
                    grant_types=" ".join(sorted(client.grant_types)),
                    scope=None if client.scope is None else client.scope.text,
                    default_token=client.default,
                    registered=at,
                    disabled=None,
                )
            )
            _keep(connection, client.id, secret, at)
            return _client(connection, client.id)

    def able(self, id: str, *, able: bool) -> Client:
        """Let it in, or no longer; raises ``Refused`` if there is no such client."""
        with answering(), self.engine.begin() as connection:
            before = _client(connection, id)
            if (before.disabled is None) is able:
                return before
            changed(connection, _OF)
            disabled = None if able else self.clock()
            connection.execute(update(clients).where(clients.c.id == id).values(disabled=disabled))
            return replace(_client(connection, id), disabled=disabled)

    def remove(self, id: str) -> None:
        """Forget it and its secrets; raises ``Refused`` if there is no such client."""
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            connection.execute(delete(client_secrets).where(client_secrets.c.client == id))
            if not connection.execute(delete(clients).where(clients.c.id == id)).rowcount:
                raise _unknown(id)

    def add_secret(self, id: str, secret: Known) -> Client:
        """Give it another secret; raises ``Refused`` if it has one of that name, or too many."""
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            client = _client(connection, id)
            if secret.name in [one.known.name for one in client.secrets]:
                raise Refused(f"client {id} has a secret {secret.name} already")
            if len(client.secrets) >= MOST_SECRETS:
                raise Refused(f"client {id} has {MOST_SECRETS} secrets, and no more are compared")
            _keep(connection, id, secret, self.clock())
            return _client(connection, id)

    def remove_secret(self, id: str, name: str) -> Client:
        """Take a secret away; raises ``Refused`` if it has none of that name."""
        with answering(), self.engine.begin() as connection:
            changed(connection, _OF)
            client = _client(connection, id)
            of_name = (client_secrets.c.client == id) & (client_secrets.c.name == name)
            if not connection.execute(delete(client_secrets).where(of_name)).rowcount:
                has = ", ".join(one.known.name for one in client.secrets) or "none"
                raise Refused(f"client {id} has no secret {name}; it has: {has}")
            return _client(connection, id)


def _keep(connection: Connection, id: str, secret: Known, at: float) -> None:
    expires = None if isinf(secret.expires) else secret.expires
    connection.execute(
        insert(client_secrets).values(
            client=id, name=secret.name, hash=secret.hash, made=at, expires=expires
        )
    )


def _client(connection: Connection, id: str) -> Client:
    found = _clients(connection, id)
    if not found:
        raise _unknown(id)
    return found[0]


def _unknown(id: str) -> Refused:
    return Refused(f"no client {id} is registered")


def _clients(connection: Connection, id: str | None = None) -> list[Client]:
    asked = select(clients)
    secrets = select(client_secrets)
    if id is not None:
        asked = asked.where(clients.c.id == id)
        secrets = secrets.where(client_secrets.c.client == id)
    of: dict[str, list[Secret]] = {}
    for row in rows(connection, secrets):
        known = Known(
            hash=row.hash, name=row.name, expires=inf if row.expires is None else row.expires
        )
        of.setdefault(row.client, []).append(Secret(known=known, made=row.made))
    # Sorted here: databases have languages, and order text by them.
    return [
        Client(
            id=row.id,
            client_name=row.client_name,
            contact=row.contact,
            grant_types=frozenset(row.grant_types.split()),
            scope=None if row.scope is None else Scope.parse(row.scope),
            default=row.default_token,
            registered=row.registered,
            disabled=row.disabled,
            secrets=tuple(sorted(of.get(row.id, ()), key=lambda one: one.known.name)),
        )
        for row in sorted(rows(connection, asked), key=lambda row: str(row.id))
    ]
