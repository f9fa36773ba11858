"""``tokenward broker``: the tokens of others that all processes remember, and forgetting them."""

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Config, Json
from tokenward.cli.saying import BOLD, fail, note, say, say_json

if TYPE_CHECKING:
    from tokenward.server.settings import Settings

EXAMPLES = """
tokenward broker list
tokenward broker forget itwin      # our secret there was changed, or its tokens revoked
tokenward broker forget            # all of them
"""

HASH = 12
"""Characters of a token's place by which people tell it from others."""


class Action(StrEnum):
    """What to do."""

    LIST = "list"
    FORGET = "forget"


def broker(
    action: Annotated[
        Action,
        typer.Argument(metavar="ACTION", help="What to do.", show_default=False),
    ],
    token: Annotated[str, typer.Argument(help="Only [tokens.NAME].", metavar="NAME")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the upstream tokens that processes share, or forget them, while the server runs.

    A token itself is never shown. What is forgotten is asked for anew by whoever needs it next.
    Running servers know within 10 seconds; what they have handed out before lives until it ends,
    or until its upstream revokes it.
    """
    settings = settings_or_exit(config, json=json)
    theirs = [name for name, it in settings.tokens.items() if it.upstream is not None]
    names = [name for name in theirs if token in ("", name)]
    if not names:
        fail(
            f"there is no upstream token {token!r}" if token else "there is no token of others",
            f"There is: {', '.join(theirs)}" if theirs else "",
            in_json=json,
        )
    if settings.store.lower().startswith("memory:"):
        fail(
            "the store is memory:, so tokens are in the running server and nowhere else",
            "It forgets them when it is started anew.",
            in_json=json,
        )
    rows = _done(settings, names, forgetting=action is Action.FORGET, json=json)
    if json:
        say_json({"ok": True, action.value: rows})
    elif action is Action.FORGET:
        say(f"forgotten: {', '.join(names)} ({len(rows)} shared)")
        note("Running servers know within 10 seconds.")
    elif not rows:
        say("no token is shared now")
    else:
        say(f"{'token':<20} {'place':<{HASH}}  {'fetched':<20}  expires", BOLD)
        for row in rows:
            fetched, expires = _date(row["fetched"]), _date(row["expires"])
            say(f"{row['token']:<20} {row['place']}  {fetched:<20}  {expires}")


def _done(
    settings: "Settings", names: list[str], *, forgetting: bool, json: bool
) -> list[dict[str, object]]:
    """What is on the shelf, or was until now."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.server.forgetting import forget  # noqa: PLC0415
    from tokenward.server.keeping import seal  # noqa: PLC0415
    from tokenward.server.seal import SealBroken  # noqa: PLC0415
    from tokenward.server.sharing import SHELF, opened  # noqa: PLC0415
    from tokenward.server.stores import WrongStore, open_cache, open_store  # noqa: PLC0415

    async def run() -> list[dict[str, object]]:
        store = open_store(settings.store, now)
        await store.open()
        cache = open_cache(settings.cache, now) if settings.cache else None
        if cache is not None:
            await cache.open()
        try:
            if forgetting:  # first: whoever asks in between must not believe what it finds
                await forget(names, notes=store.shelf, at=now())
            shelf, key = (cache or store).shelf, seal(settings, store)
            rows: list[dict[str, object]] = []
            for name in names:
                for place in await shelf.keys(f"{SHELF}{name}/"):
                    sealed = await shelf.get(place)
                    asked = None if sealed is None else opened(key, place, sealed)
                    if forgetting:
                        await shelf.drop(place)
                    rows.append(
                        {
                            "token": name,
                            "place": place.rpartition("/")[2][:HASH],
                            "scope": None if asked is None else asked.token.scope.text,
                            "fetched": None if asked is None else round(asked.wall),
                            "expires": None if asked is None else round(asked.token.expires_at),
                        }
                    )
            return rows
        finally:
            if cache is not None:
                await cache.close()
            await store.close()

    try:
        return asyncio.run(run())
    except (TemporarilyUnavailable, WrongStore, SealBroken) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(f"the tokens cannot be had: {detail}", in_json=json)


def _date(seconds: object) -> str:
    if seconds is None:
        return "(sealed otherwise)"
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(float(str(seconds))))
