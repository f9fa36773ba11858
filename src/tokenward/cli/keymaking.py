"""What all of ``tokenward api-keys`` does around its work: the records, and telling the servers."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tokenward.cli.registering import What, lasts, working
from tokenward.cli.saying import USAGE, fail

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tokenward.server.records.apikeys import ApiKeys
    from tokenward.server.settings import Settings

KEYS = What("API keys", "so there is no place for API keys", "api-keys list")

LONGEST = 200
"""Characters of a name, a group, or a claim."""


@contextmanager
def keys(settings: "Settings", *, json: bool) -> Iterator["ApiKeys"]:
    """The keys there are; in the end all servers know what became of them."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.records.apikeys import ApiKeys  # noqa: PLC0415

    def made(engine: "Engine") -> "ApiKeys":
        return ApiKeys(engine=engine, clock=now)

    with working(settings, made, _told, what=KEYS, json=json) as found:
        yield found


async def _told(settings: "Settings", keys: "ApiKeys") -> None:
    """Publish the list, unless all servers know it: whoever was killed before this did not."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server import apikeys  # noqa: PLC0415
    from tokenward.server.directory import publish_bytes  # noqa: PLC0415
    from tokenward.server.keeping import seal  # noqa: PLC0415
    from tokenward.server.stores import open_store  # noqa: PLC0415

    store = open_store(settings.store, now)
    await store.open()
    try:
        number, entries = keys.edition()
        if not number:
            return
        pepper = await apikeys.pepper_of(store.shelf, lambda: seal(settings, store))
        await publish_bytes(
            lambda: apikeys.to_bytes(apikeys.KeyList(pepper=pepper, entries=entries)),
            number,
            place=apikeys.SHELF,
            shelf=store.shelf,
            seal=lambda: seal(settings, store),
        )
    finally:
        await store.close()


def pepper(settings: "Settings", *, json: bool) -> bytes:
    """What keys are recognised with."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.server.apikeys import pepper_of  # noqa: PLC0415
    from tokenward.server.keeping import seal  # noqa: PLC0415
    from tokenward.server.seal import SealBroken  # noqa: PLC0415
    from tokenward.server.stores import WrongStore, open_store  # noqa: PLC0415

    lasts(settings, KEYS, json=json)

    async def read() -> bytes:
        store = open_store(settings.store, now)
        await store.open()
        try:
            return await pepper_of(store.shelf, lambda: seal(settings, store))
        finally:
            await store.close()

    try:
        return asyncio.run(read())
    except (TemporarilyUnavailable, WrongStore, SealBroken) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(
            f"what API keys are recognised with cannot be had: {detail}",
            "Is encryption_key the one it was made with?",
            in_json=json,
        )


def used(settings: "Settings", ids: list[str], *, json: bool) -> dict[str, float]:
    """When each was last used, as far as servers have said."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.server.apikeys import last_used  # noqa: PLC0415
    from tokenward.server.stores import open_store  # noqa: PLC0415

    async def read() -> dict[str, float]:
        store = open_store(settings.store, now)
        await store.open()
        try:
            return await last_used(store.shelf, ids)
        finally:
            await store.close()

    try:
        return asyncio.run(read())
    except TemporarilyUnavailable as exc:
        fail(f"when keys were used cannot be had: {exc.detail}", in_json=json)


def caller_of(settings: "Settings", name: str, *, json: bool) -> str:
    """The caller that a key is for; ends with the reason if there is none."""
    from tokenward.server.values import did_you_mean  # noqa: PLC0415

    there = {key: it.proof for key, it in settings.subjects.items() if _has_keys(it.proof)}
    if name in there:
        return name
    if name:
        fail(f'no caller {name!r} has proof = "api_key"', did_you_mean(name, there), in_json=json)
    if not there:
        fail(
            'no caller has proof = "api_key"',
            'Write [callers.scripts] with proof = "api_key" into the file, and rules for it.',
            in_json=json,
        )
    if len(there) > 1:
        fail("for which caller?", f"--caller {' or '.join(there)}", code=USAGE, in_json=json)
    return next(iter(there))


def _has_keys(proof: object) -> bool:
    from tokenward.server.proofs.api_key import ApiKey  # noqa: PLC0415

    return isinstance(proof, ApiKey)


def end(settings: "Settings", caller: str, said: str, *, json: bool) -> float:
    """When the key ends, in seconds since the epoch; ends with the reason if that is too late."""
    most: float = settings.subjects[caller].proof.lifetime
    seconds = period("--expires", said, json=json) if said else most
    if seconds > most:
        fail(
            f"--expires: a key of {caller} is good for {most / 86_400:g} days at most",
            f"[callers.{caller}] lifetime says so",
            in_json=json,
        )
    return time.time() + seconds


def period(option: str, said: str, *, json: bool) -> float:
    """A period in seconds."""
    from tokenward.server.values import Wrong, duration  # noqa: PLC0415

    try:
        return duration(said)
    except Wrong as exc:
        fail(f"{option}: {exc}", code=USAGE, in_json=json)


def one_line(option: str, said: str, *, json: bool) -> str:
    """A name that can be told from others."""
    if not said or said != said.strip() or not said.isprintable() or len(said) > LONGEST:
        fail(
            f"{option} is one line of text without blanks around it, at most {LONGEST} characters",
            code=USAGE,
            in_json=json,
        )
    return said


def claims(said: list[str], groups: list[str], *, json: bool) -> dict[str, Any]:
    """What rules may look at: a claim that is said twice is a list."""
    from tokenward.server.apikeys import RESERVED  # noqa: PLC0415

    found: dict[str, Any] = {}
    for one in said:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            fail(f"--claim {one!r} is not NAME=VALUE", code=USAGE, in_json=json)
        if name in RESERVED:
            fail(f"--claim: {name} means something else already", code=USAGE, in_json=json)
        value = one_line("--claim", value, json=json)
        if name in found:
            before = found[name] if isinstance(found[name], list) else [found[name]]
            found[name] = [*before, value]
        else:
            found[one_line("--claim", name, json=json)] = value
    if groups:
        found["groups"] = [one_line("--group", it, json=json) for it in groups]
    return found
