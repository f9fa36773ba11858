"""Who is a client here: those whom the configuration declares, and those registered beside it.

Law of this module: the configuration wins. Whatever name it uses, for a client or for an issuer
whose people it believes, belongs to nobody who is registered.
"""

import logging
import re
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

from tokenward.clock import Clock
from tokenward.server.assertions import Surroundings
from tokenward.server.directory import Directory, Entries, Entry
from tokenward.server.keeping import seal
from tokenward.server.limits import Limits
from tokenward.server.model import Client
from tokenward.server.proofs.client_secret import ClientSecret
from tokenward.server.registry import Registered, Registry
from tokenward.server.settings import Settings
from tokenward.server.settings.names import RESERVED
from tokenward.server.stores import Store

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Narrower than RFC 6749 App. A.1: written the same in forms, URLs and Basic credentials."""

_log = logging.getLogger("tokenward.server")


def registry_of(settings: Settings, store: Store, clock: Clock, limits: Limits) -> Registry:
    """All clients that the configuration declares, ready to be asked who they are."""
    secret = "sha256:" + sha256(token_bytes(32)).hexdigest()
    nobody = Client(id="", grant_types=frozenset())
    stranger = Registered(client=nobody, proof=ClientSecret(secrets=(secret,)))
    surroundings = surroundings_of(settings, store, clock)
    clients = {
        id: Registered(client=one.client, proof=one.proof.within(surroundings))
        for id, one in settings.clients.items()
    }
    return Registry(clients=clients, stranger=stranger, limits=limits)


def surroundings_of(settings: Settings, store: Store, clock: Clock) -> Surroundings:
    """What the proofs of clients need to know besides their own settings."""
    issuers = settings.issuers
    return Surroundings(
        clock=clock,
        shelf=store.shelf,
        issuers={name: issuer.url for name, issuer in issuers.items()},
        secrets_may_sign=frozenset(name for name in issuers if issuers[name].client_secret_jwt),
    )


def declared(settings: Settings) -> frozenset[str]:
    """Every name that the configuration uses for somebody."""
    clients = settings.clients.values()
    names = {*settings.clients, *(one.client.name for one in clients), *settings.subjects}
    return frozenset(names) | RESERVED


def id_fault(id: str, settings: Settings) -> str:
    """Why nobody can be registered under this id, or ``""``."""
    if not _ID.fullmatch(id):
        return "must be letters, digits, dots, dashes and underscores, at most 128"
    if id in RESERVED:
        return "is a name that rules have for others"
    if id in declared(settings):
        return "is declared in the configuration file, and what stands there wins"
    return ""


def directory_of(registry: Registry, settings: Settings, store: Store, clock: Clock) -> Directory:
    """What puts every edition of the registered clients into this registry."""
    surroundings, taken = surroundings_of(settings, store, clock), declared(settings)

    def show(entries: Entries) -> None:
        if clash := sorted(it.id for it in entries if it.id in taken):
            names = ", ".join(map(repr, clash))
            _log.warning("registered clients of names that the configuration declares: %s", names)
        mine = [it for it in entries if it.id not in taken]
        registry.enrol(
            {it.id: _registered(it, surroundings) for it in mine if it.secrets and not it.disabled},
            known=frozenset(it.id for it in mine),
        )

    return Directory(shelf=store.shelf, seal=lambda: seal(settings, store), show=show)


def _registered(it: Entry, surroundings: Surroundings) -> Registered:
    client = Client(id=it.id, grant_types=it.grant_types, scope=it.scope, default=it.default)
    return Registered(client=client, proof=ClientSecret(secrets=it.secrets).within(surroundings))


@dataclass(frozen=True, slots=True)
class Taken:
    """The names that nobody's people may have: some for good, and those of registered clients."""

    names: frozenset[str]
    registry: Registry

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.registry.enrolled
