"""``tokenward keys``: the keys that sign, and changing them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from math import isinf
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Config, Json
from tokenward.cli.saying import BOLD, FAINT, GREEN, YELLOW, fail, note, painted, say, say_json

if TYPE_CHECKING:
    from tokenward.server.keyring import KeyRing
    from tokenward.server.rotation import Entries, Make, Periods
    from tokenward.server.settings import Settings

T = TypeVar("T")

EXAMPLES = """
tokenward keys list
tokenward keys rotate                    # the next key is published, and signs when all can know it
tokenward keys rotate --now              # the next key signs at once
tokenward keys revoke KID                # a key that leaked: it is gone, and another one signs
tokenward keys list --issuer ims --json
tokenward keys reseal                    # after a new encryption key: nothing needs the old one
"""

_COLORS = {"current": GREEN, "next": YELLOW, "retired": FAINT}


class Action(StrEnum):
    """What to do."""

    LIST = "list"
    ROTATE = "rotate"
    REVOKE = "revoke"
    RESEAL = "reseal"


def keys(
    action: Annotated[
        Action,
        typer.Argument(metavar="ACTION", help="What to do.", show_default=False),
    ],
    kid: Annotated[str, typer.Argument(metavar="KID", help="The key to revoke, by its id.")] = "",
    issuer: Annotated[
        str, typer.Option(metavar="NAME", help="Only the keys of [issuers.NAME].")
    ] = "",
    now: Annotated[
        bool, typer.Option("--now", help="Let the new key sign at once.", show_default=False)
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the keys that sign, or change them, while the server runs.

    Keys change by themselves (rotate_every). "rotate" begins the next change early: the new key
    is published now and signs in some minutes, when nobody keeps a key set without it any more.
    "--now" does not wait, so that whoever verifies with a set it fetched before refuses new tokens
    until it fetches another. "revoke" takes a key out of the published set: what it signed is not
    believed any more by anybody who fetches the set, nor by introspection. "reseal" seals the keys
    in the store anew, the lists of registered clients and API keys, and the stored grants, with
    the first of several encryption keys.

    Running servers know within 30 seconds. Ends with 1 if nothing could be done.
    """
    if (action is Action.REVOKE) != bool(kid):
        raise typer.BadParameter("revoke needs the id of a key, and only revoke takes one")
    if now and action is not Action.ROTATE:
        raise typer.BadParameter("--now goes with rotate")
    settings = settings_or_exit(config, json=json)
    names = [name for name in settings.issuers if issuer in ("", name)]
    if not names:
        fail(
            f"there is no issuer {issuer!r}" if issuer else "there is no issuer of ours",
            f"There is: {', '.join(settings.issuers)}" if settings.issuers else "",
            in_json=json,
        )
    if settings.store == "memory:":
        fail(
            "the store is memory:, so the keys are in the running server and nowhere else",
            "They are made anew when it starts.",
            in_json=json,
        )
    if action is Action.ROTATE:
        _rotate(settings, names, now=now, json=json)
    elif action is Action.REVOKE:
        _revoke(settings, names, kid, json=json)
    elif action is Action.RESEAL:
        _reseal(settings, names, json=json)
    _list(settings, names, json=json)


def _list(settings: "Settings", names: list[str], *, json: bool) -> None:
    from tokenward.server.rotation import gone_at, states  # noqa: PLC0415

    kept = _with(settings, lambda ring, _: _all(ring, settings, names), json=json)
    now = time.time()
    rows = [
        {
            "issuer": name,
            "algorithm": settings.issuers[name].algorithm,
            "kid": entry.key.kid,
            "state": state,
            "made": round(entry.made),
            "signs_from": round(entry.since),
            "gone": None if isinf(end := gone_at(entry, entries, periods)) else round(end),
        }
        for name, (entries, periods) in kept.items()
        for entry, state in states(entries, now)
    ]
    if json:
        say_json({"keys": rows})
        return
    for row in rows:
        state = str(row["state"])
        say(
            f"{row['issuer']:<12} {row['algorithm']:<6} "
            f"{painted(f'{state:<8}', _COLORS[state])} {row['kid']}  {_told(row)}"
        )
    if not rows:
        note("no keys yet: the server makes them when it first starts")


def _told(row: Mapping[str, object]) -> str:
    match row["state"]:
        case "next":
            return f"signs from {_date(row['signs_from'])}"
        case "current":
            return f"signs since {_date(row['signs_from'])}"
    return f"gone at {_date(row['gone'])}"


def _rotate(settings: "Settings", names: list[str], *, now: bool, json: bool) -> None:
    from tokenward.server.rotation import TooSoon, replaced, rotated  # noqa: PLC0415

    async def change(ring: "KeyRing", periods: "dict[str, Periods]") -> None:
        step = replaced if now else rotated
        for name in names:
            algorithm = settings.issuers[name].algorithm
            await ring.ring(name, algorithm)
            make = ring.maker(name, algorithm)
            await ring.change(
                name,
                algorithm,
                lambda entries, name=name, make=make: step(  # type: ignore[misc]
                    entries, time.time(), periods[name], make
                ),
            )

    try:
        _with(settings, change, json=json)
    except TooSoon as exc:
        fail(f"not now: {exc} ({_date(exc.until)})", "In a hurry: --now", in_json=json)
    if not json:
        say("The new key signs." if now else "The new key is published, and signs soon.", BOLD)


def _revoke(settings: "Settings", names: list[str], kid: str, *, json: bool) -> None:
    from tokenward.server.rotation import revoked  # noqa: PLC0415

    async def change(ring: "KeyRing", _: "dict[str, Periods]") -> bool:
        for name in names:
            algorithm = settings.issuers[name].algorithm
            make = ring.maker(name, algorithm)

            def step(entries: "Entries", make: "Make" = make) -> "Entries":
                return revoked(entries, kid, time.time(), make)

            try:
                if await ring.change(name, algorithm, step):
                    return True
            except LookupError:
                continue
        return False

    if not _with(settings, change, json=json):
        fail(f"there is no key {kid!r} here", "These there are: tokenward keys list", in_json=json)
    if not json:
        say("It is gone: nothing it signed is believed by whoever fetches the keys anew.", BOLD)
        note(
            "Running servers know within 30 seconds; who verifies alone, when it fetches the keys."
        )


def _reseal(settings: "Settings", names: list[str], *, json: bool) -> None:
    from tokenward.server.apikeys import reseal as reseal_keys  # noqa: PLC0415
    from tokenward.server.directory import reseal  # noqa: PLC0415
    from tokenward.server.hubkeys import reseal as reseal_hub_keys  # noqa: PLC0415
    from tokenward.server.offline.safe import reseal as reseal_grants  # noqa: PLC0415

    async def seal_anew(ring: "KeyRing", _: "dict[str, Periods]") -> int:
        algorithms = {name: settings.issuers[name].algorithm for name in names}
        lists = await reseal(ring.shelf, ring.seal) + await reseal_keys(ring.shelf, ring.seal)
        lists += await reseal_grants(ring.shelf, ring.seal)
        lists += await reseal_hub_keys(ring.shelf, ring.seal)
        return lists + sum([await ring.reseal(name, it) for name, it in algorithms.items()])

    number = _with(settings, seal_anew, json=json)
    if not json:
        say(f"Sealed anew: {number}. All of them need the first encryption key only.", BOLD)


async def _all(
    ring: "KeyRing", settings: "Settings", names: list[str]
) -> "dict[str, tuple[Entries, Periods]]":
    from tokenward.server.keeping import periods  # noqa: PLC0415

    every = periods(settings)
    return {
        name: (
            await ring.look(name, settings.issuers[name].algorithm),
            every[name],
        )
        for name in names
    }


def _with(
    settings: "Settings",
    work: "Callable[[KeyRing, dict[str, Periods]], Awaitable[T]]",
    *,
    json: bool,
) -> T:
    """Open the store, do this with what it keeps, close it."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.server.keeping import keyring_of, periods  # noqa: PLC0415
    from tokenward.server.seal import SealBroken  # noqa: PLC0415
    from tokenward.server.stores import WrongStore, open_store  # noqa: PLC0415

    async def run() -> T:
        store = open_store(settings.store, now)
        await store.open()
        try:
            return await work(keyring_of(settings, store, now), periods(settings))
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except (TemporarilyUnavailable, WrongStore, SealBroken) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(f"the keys cannot be had: {detail}", in_json=json)


def _date(seconds: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(float(str(seconds))))
