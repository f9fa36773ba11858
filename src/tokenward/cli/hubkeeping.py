"""What all of ``tokenward hub keys`` does around its work: the records, and telling the servers."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tokenward.cli.registering import What, working
from tokenward.cli.saying import USAGE, fail, from_stdin, note

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tokenward.server.records.hubkeys import HubKeys
    from tokenward.server.seal import Seal
    from tokenward.server.settings import Settings
    from tokenward.server.stores import Shelf

T = TypeVar("T")

KEYS = What("hub keys", "so there is no place for keys but the configuration file", "hub keys list")


def caller_of(settings: "Settings", name: str, *, json: bool) -> str:
    """The caller that a key is for; ends with the reason if there is none."""
    from tokenward.server.values import did_you_mean  # noqa: PLC0415

    subjects = settings.subjects.items()
    there = {key: it.proof for key, it in subjects if getattr(it.proof, "at_a_hub", False)}
    if name in there:
        return name
    if name:
        fail(f'no caller {name!r} has proof = "hub_key"', did_you_mean(name, there), in_json=json)
    if not there:
        fail(
            'no caller has proof = "hub_key"',
            'Write [callers.notes] with proof = "hub_key" into the file, and a rule for it.',
            in_json=json,
        )
    if len(there) > 1:
        fail("for which caller?", f"--caller {' or '.join(there)}", code=USAGE, in_json=json)
    return next(iter(there))


def wanted(
    settings: "Settings", key: str, *, insecure: bool, stdin: bool, json: bool
) -> tuple[str, str]:
    """The key and its secret, new ones unless they exist; ends with what is wrong with them."""
    from tokenward.server import hubkeys  # noqa: PLC0415

    if not key:
        if stdin:
            fail("--stdin is the secret of which --key?", code=USAGE, in_json=json)
        named, secret = hubkeys.make()
        return named, "" if insecure else secret
    if insecure == stdin:
        fail("a --key that exists comes with --stdin or with --insecure", code=USAGE, in_json=json)
    if fault := hubkeys.key_fault(key):
        fail(f"--key {fault}", code=USAGE, in_json=json)
    if key in written(settings):
        fail(f"it is the key of callers.{written(settings)[key]} already", in_json=json)
    secret = from_stdin("The secret") if stdin else ""
    if stdin and (fault := hubkeys.secret_fault(secret)):
        fail(f"the secret {fault.partition(';')[0]}", in_json=json)
    return key, secret


def written(settings: "Settings") -> dict[str, str]:
    """The keys in the configuration, and whose they are."""
    there = settings.subjects.items()
    return {it.proof.key: name for name, it in there if getattr(it.proof, "at_a_hub", False)}


@contextmanager
def keys(settings: "Settings", *, json: bool) -> Iterator["HubKeys"]:
    """The keys there are; in the end all servers know what became of them."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.records.hubkeys import HubKeys  # noqa: PLC0415

    def made(engine: "Engine") -> "HubKeys":
        return HubKeys(engine=engine, clock=now)

    with working(settings, made, _publish, what=KEYS, json=json) as found:
        yield found


async def _publish(settings: "Settings", keys: "HubKeys") -> None:
    """Publish the list, unless all servers know it: whoever was killed before this did not."""
    from tokenward.server import hubkeys  # noqa: PLC0415
    from tokenward.server.directory import publish_bytes  # noqa: PLC0415
    from tokenward.server.stores import WrongStore  # noqa: PLC0415

    async def work(shelf: "Shelf", seal: "Callable[[], Seal]") -> None:
        number, good = keys.edition()
        entries = []
        for it in good:
            secret = b""
            try:
                if it.secured:
                    secret = await hubkeys.secret_of(it.key, shelf=shelf, seal=seal)
            except WrongStore as exc:
                note(f"{exc}: no server will know the key")
                continue
            entries.append(hubkeys.Entry(key=it.key, caller=it.caller, type=it.type, secret=secret))
        await publish_bytes(
            lambda: hubkeys.to_bytes(entries),
            number,
            place=hubkeys.SHELF,
            shelf=shelf,
            seal=seal,
        )

    await _with_store(settings, work)


def kept(
    settings: "Settings", work: "Callable[[Shelf, Callable[[], Seal]], Coroutine[Any, Any, T]]"
) -> T:
    """Do this with what the store keeps."""
    return asyncio.run(_with_store(settings, work))


async def _with_store(
    settings: "Settings", work: "Callable[[Shelf, Callable[[], Seal]], Coroutine[Any, Any, T]]"
) -> T:
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.keeping import seal  # noqa: PLC0415
    from tokenward.server.stores import open_store  # noqa: PLC0415

    store = open_store(settings.store, now)
    await store.open()
    try:
        return await work(store.shelf, lambda: seal(settings, store))
    finally:
        await store.close()
