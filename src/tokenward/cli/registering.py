"""What all of ``tokenward clients`` does around its work: the records, and telling the servers."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tokenward.cli.saying import USAGE, fail

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tokenward.server.hashes import Known
    from tokenward.server.records.clients import Client, Clients
    from tokenward.server.settings import Settings


T = TypeVar("T")


@contextmanager
def records(settings: "Settings", *, json: bool) -> Iterator["Clients"]:
    """The clients that are registered; in the end all servers know what became of them."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.records.clients import Clients  # noqa: PLC0415

    def clients(engine: "Engine") -> "Clients":
        return Clients(engine=engine, clock=now)

    with working(settings, clients, _told, what=CLIENTS, json=json) as found:
        yield found


class What(NamedTuple):
    """What is kept in the records, in words."""

    them: str
    place: str
    """Where else they can be, without records."""

    listing: str
    """The command that lists them."""


CLIENTS = What(
    "clients", "so there is no place for clients but the configuration file", "clients list"
)


def lasts(settings: "Settings", what: What, *, json: bool) -> None:
    """See that the store outlives this command; ends with the reason if it does not."""
    if settings.store.lower().startswith("memory:"):
        fail(
            f"the store is memory:, {what.place}",
            'To keep them: store = "sqlite:///var/lib/tokenward.db"',
            in_json=json,
        )


@contextmanager
def working(
    settings: "Settings",
    make: Callable[["Engine"], T],
    tell: Callable[["Settings", T], Coroutine[Any, Any, None]],
    *,
    what: What,
    json: bool,
) -> Iterator[T]:
    """Something in the records; in the end all servers are told of it.

    The first who needs the tables makes them, or brings them up to date.
    """
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.server.records.migrating import migrate  # noqa: PLC0415
    from tokenward.server.records.numbering import Refused  # noqa: PLC0415
    from tokenward.server.records.opening import answering, open_engine  # noqa: PLC0415
    from tokenward.server.seal import SealBroken  # noqa: PLC0415
    from tokenward.server.stores import WrongStore  # noqa: PLC0415

    lasts(settings, what, json=json)
    try:
        asyncio.run(_opened(settings))
        with answering():
            engine = open_engine(settings.store)
            migrate(engine)
        thing = make(engine)
        yield thing
    except Refused as exc:
        fail(str(exc), f"These there are: tokenward {what.listing}", in_json=json)
    except (TemporarilyUnavailable, WrongStore, SealBroken) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(f"the registered {what.them} cannot be had: {detail}", in_json=json)
    try:
        asyncio.run(tell(settings, thing))
    except (TemporarilyUnavailable, SealBroken) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(
            f"it is kept, but running servers could not be told: {detail}",
            f"They are told by the next command: tokenward {what.listing}",
            in_json=json,
        )


async def _opened(settings: "Settings") -> None:
    """See that the store is there, and make it if it is not."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.stores import open_store  # noqa: PLC0415

    store = open_store(settings.store, now)
    await store.open()
    await store.close()


async def _told(settings: "Settings", clients: "Clients") -> None:
    """Publish the list, unless all servers know it: whoever was killed before this did not."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.directory import publish  # noqa: PLC0415
    from tokenward.server.keeping import seal  # noqa: PLC0415
    from tokenward.server.stores import open_store  # noqa: PLC0415

    store = open_store(settings.store, now)
    await store.open()
    try:
        number, entries = clients.edition()
        await publish(entries, number, shelf=store.shelf, seal=lambda: seal(settings, store))
    finally:
        await store.close()


def made(expires: str, name: str = "", *, json: bool) -> tuple[str, "Known"]:
    """A new secret of 256 bits, and what it will be known by."""
    from tokenward.server.hashes import Known  # noqa: PLC0415
    from tokenward.server.values import Wrong, duration  # noqa: PLC0415

    secret = secrets.token_urlsafe(32)
    said = {"hash": "sha256:" + sha256(secret.encode()).hexdigest()}
    try:
        end = time.time() + duration(expires) if expires else inf
        known = Known.read(said | ({"name": name} if name else {}))
    except Wrong as exc:
        option = "name" if name and exc.at else "expires"
        fail(f"--{option}: {exc}", code=USAGE, in_json=json)
    return secret, Known(hash=known.hash, name=known.name, expires=end)


def wanted(
    settings: "Settings",
    id: str,
    *,
    grant_types: list[str] | None,
    scope: str | None,
    default: str,
    client_name: str,
    contact: str,
    json: bool,
) -> "Client":
    """The client as it is asked for; ends with the reason if it cannot be."""
    from tokenward.oauth.messages import CLIENT_CREDENTIALS  # noqa: PLC0415
    from tokenward.server.enrolment import id_fault  # noqa: PLC0415
    from tokenward.server.records.clients import Client  # noqa: PLC0415
    from tokenward.server.settings.clients import grant_type_names  # noqa: PLC0415
    from tokenward.server.values import Wrong, did_you_mean  # noqa: PLC0415
    from tokenward.server.values import scope as read_scope  # noqa: PLC0415

    if fault := id_fault(id, settings):
        fail(f"{id!r} {fault}", in_json=json)
    try:
        rights = grant_type_names(grant_types) if grant_types else frozenset({CLIENT_CREDENTIALS})
        most = None if scope is None else read_scope(scope)
    except Wrong as exc:
        fail(f"client {id}: {exc}", exc.hint, in_json=json)
    known = {one for token in settings.tokens.values() for one in token.vocabulary}
    for one in most or ():
        if one not in known:
            fail(f"no token has a scope {one!r}", did_you_mean(one, known), in_json=json)
    if default and default not in settings.tokens:
        hint = did_you_mean(default, settings.tokens)
        fail(f"there is no token {default!r}", hint, in_json=json)
    for text in (client_name, contact):
        if not text.isprintable():
            fail("--name and --contact are one line of text", in_json=json)
    return Client(
        id=id,
        client_name=client_name,
        contact=contact,
        grant_types=rights,
        scope=most,
        default=default,
    )


def date(seconds: object) -> str:
    """A time for people."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(float(str(seconds))))
