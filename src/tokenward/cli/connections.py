"""``tokenward connections``: what a person has connected for which app, and ending it for them."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Command, Commands, Config, Json, tokens
from tokenward.cli.registering import date
from tokenward.cli.saying import BOLD, fail, say, say_json

if TYPE_CHECKING:
    from tokenward.server.offline import Status
    from tokenward.server.settings import Settings

EXAMPLES = """
tokenward connections list 'mobile|auth0|ann'
tokenward connections remove 'mobile|auth0|ann' drive
"""

LIST_EXAMPLES = """
tokenward connections list 'mobile|auth0|ann'
tokenward connections list 'mobile|auth0|ann' --json
"""

REMOVE_EXAMPLES = """
tokenward connections remove 'mobile|auth0|ann' drive
tokenward connections remove 'mobile|auth0|ann'          # all that they have connected
"""

app = typer.Typer(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, add_completion=False
)

Subject = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="The person, as the audit trail calls them.")
]

Row = dict[str, object]


def show(subject: Subject, config: Config = None, json: Json = False) -> None:
    """Show what a person has connected, for which app, and whether it still holds.

    No token is shown. Each is of one app: another one has none of it.
    """
    rows = _done(_settings(config, json=json), subject, json=json)
    if json:
        say_json({"ok": True, "connections": rows})
    elif not rows:
        say("they have connected nothing")
    else:
        _table(rows)


def remove(
    subject: Subject,
    token: Annotated[
        str, typer.Argument(metavar="NAME", help="Only [tokens.NAME].", autocompletion=tokens)
    ] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """End what a person has connected: here at once, and over there if they let us.

    Running servers give no token of it from then on. What they have handed out before lives until
    it ends, or until its server revokes it.
    """
    settings = _settings(config, json=json)
    if token and token not in settings.tokens:
        fail(f"there is no token {token!r}", in_json=json)
    rows = _done(settings, subject, json=json, only=token, ending=True)
    if json:
        say_json({"ok": True, "removed": rows})
    elif not rows:
        say("there was nothing to remove")
    else:
        _table(rows)


def _settings(config: Config, *, json: bool) -> "Settings":
    settings = settings_or_exit(config, json=json)
    if settings.store.lower().startswith("memory:"):
        fail("the store is memory:, so what is connected is in the running server", in_json=json)
    return settings


def _table(rows: Iterable[Row]) -> None:
    say(f"{'token':<20} {'app':<30} {'since':<20}  status", BOLD)
    for row in rows:
        since = date(float(str(row["since"])))
        say(f"{row['token']:<20} {row['app']:<30} {since:<20}  {row['status']}")


def _done(
    settings: "Settings", subject: str, *, json: bool, only: str = "", ending: bool = False
) -> list[Row]:
    """What there is, or was until now."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.remote.clients import open_async_client  # noqa: PLC0415
    from tokenward.server.keeping import seal  # noqa: PLC0415
    from tokenward.server.seal import SealBroken  # noqa: PLC0415
    from tokenward.server.stores import WrongStore, open_store  # noqa: PLC0415
    from tokenward.server.theirs import Theirs  # noqa: PLC0415

    async def run() -> list[Row]:
        store = open_store(settings.store, now)
        await store.open()
        try:
            theirs = Theirs(
                store=store,
                cache=store.shelf,
                connect=lambda identity, transport: open_async_client(
                    identity=identity, transport=transport
                ),
                clock=now,
                seal=lambda: seal(settings, store),
            )
            for one in settings.tokens.values():
                # Where the running server signs what is sent, only it could tell them.
                if one.upstream is not None and not one.signs:
                    theirs.source(one, one.upstream)
            people = theirs.people
            rows: list[Row] = []
            for status in await people.of(subject):
                if only in ("", status.whose.token):
                    row = _row(status)
                    if ending:
                        row["status"] = await people.remove(status.whose) or "gone already"
                    rows.append(row)
            await theirs.close()
            return sorted(rows, key=lambda row: (str(row["token"]), str(row["app"])))
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except (TemporarilyUnavailable, WrongStore, SealBroken) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(f"what is connected cannot be had: {detail}", in_json=json)


def _row(status: "Status") -> Row:
    whose = status.whose
    _, client, *rest = whose.app
    shown = " ".join(part for part in (client, *rest) if part)
    return {
        "token": whose.token,
        "app": shown,
        "scope": status.scope.text,
        "since": int(status.since),
        "status": "ended" if status.ended else "connected",
    }


app.command("list", cls=Command, epilog=LIST_EXAMPLES, short_help="What a person has connected.")(
    show
)
app.command("remove", cls=Command, epilog=REMOVE_EXAMPLES, short_help="End it for them.")(remove)


@app.callback()
def _connections() -> None:
    """Show and end what people have connected, while the server runs.

    Each is of one person, one app and one token. People do this for themselves in their apps.
    """
