"""``tokenward usage``: how many tokens were handed out, and what remembering them saved."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Config, Json, tokens
from tokenward.cli.saying import BOLD, FAINT, fail, note, say, say_json
from tokenward.cli.tables import bar, count, percent, short, span

if TYPE_CHECKING:
    from tokenward.server.settings import Settings
    from tokenward.server.usage import Kept, Line

EXAMPLES = """
tokenward usage                          # the last seven days, by token
tokenward usage itwin --by day           # one token, day by day
tokenward usage --by caller --since 30d  # who got how many
tokenward usage --since 2026-11-01 --json
"""

WIDTH = 10
"""Characters of a bar."""

UNKNOWN = {
    "token": "(none decided)",
    "caller": "(nobody known)",
    "client": "(not registered)",
}
"""What stands for the name of whoever and whatever was not known."""


class By(StrEnum):
    """What a line is about."""

    TOKEN = "token"
    CALLER = "caller"
    CLIENT = "client"
    DAY = "day"


def usage(
    token: Annotated[
        str,
        typer.Argument(help="Only [tokens.NAME].", metavar="NAME", autocompletion=tokens),
    ] = "",
    since: Annotated[
        str,
        typer.Option(
            metavar="DAYS", help='How far back: "30d" is today and 29 days before, or a date.'
        ),
    ] = "7d",
    by: Annotated[By, typer.Option(metavar="WHAT", help="What each line is about.")] = By.TOKEN,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show how many tokens were handed out, and how many fetches were avoided.

    Of all servers that share the store, by days of UTC. Running servers write what they have
    counted every 30 seconds. Of tokens of others it says how many were fetched, the share of those
    handed out that needed no fetch, questions that brought none, and what a question took.
    """
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.server.rows import date_of, day_of  # noqa: PLC0415
    from tokenward.server.usage import Line, lines  # noqa: PLC0415

    last = day_of(now())
    first = _first(since, last)
    settings = settings_or_exit(config, json=json)
    if settings.store.lower().startswith("memory:"):
        fail(
            "the store is memory:, so the figures are in the running server and nowhere else",
            "A store on disk keeps them: sqlite:tokenward.db, or postgresql:.",
            in_json=json,
        )
    kept = _kept(settings, first, last, json=json)
    theirs = frozenset(name for name, it in settings.tokens.items() if it.upstream is not None)
    found = lines(kept.days, by.value, theirs=theirs, only=token)
    if token and token not in settings.tokens and not found:
        known = ", ".join(settings.tokens)
        fail(f"there is no token {token!r}", f"There is: {known}" if known else "", in_json=json)
    if by is By.DAY and found:
        earliest = min(kept.days)
        found = {date_of(day): found.get(date_of(day), Line()) for day in range(earliest, last + 1)}
    else:
        found = dict(sorted(found.items(), key=lambda it: (-it[1].handed.served, it[0])))
    period = {"since": date_of(first), "until": date_of(last)}
    if json:
        rows = [{by.value: name, **_said(line)} for name, line in found.items()]
        say_json({"ok": True, **period, "by": by.value, "rows": rows})
    else:
        say(f"{period['since']} to {period['until']}", BOLD)
        _show(found, by)
    if kept.unread:
        note(f"{kept.unread} rows of another version of tokenward were left out")


def _first(since: str, last: int) -> int:
    """The first day that is meant, as its number."""
    from math import ceil  # noqa: PLC0415

    from tokenward.server.rows import DAY, day_named  # noqa: PLC0415
    from tokenward.server.values import Wrong, duration  # noqa: PLC0415

    if (named := day_named(since)) is not None:
        return min(named, last)
    try:
        days = ceil(duration(since) / DAY)
    except Wrong:
        raise typer.BadParameter(
            'a number of days such as "7d", or a date such as 2026-11-01', param_hint="--since"
        ) from None
    return last + 1 - max(1, days)


def _kept(settings: "Settings", first: int, last: int, *, json: bool) -> "Kept":
    """What all servers have kept of these days."""
    from tokenward.clock import now  # noqa: PLC0415
    from tokenward.oauth.errors import TemporarilyUnavailable  # noqa: PLC0415
    from tokenward.server.stores import WrongStore, open_store  # noqa: PLC0415
    from tokenward.server.usage import read  # noqa: PLC0415

    async def run() -> "Kept":
        store = open_store(settings.store, now)
        await store.open()
        try:
            return await read(store.shelf, first, last)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except (TemporarilyUnavailable, WrongStore) as exc:
        detail = exc.detail if isinstance(exc, TemporarilyUnavailable) else str(exc)
        fail(f"the figures cannot be had: {detail}", in_json=json)


def _said(line: "Line") -> dict[str, Any]:
    """One line, for programs. Times are in seconds."""
    said: dict[str, Any] = {"served": line.handed.served, "refused": line.handed.refused}
    if (asked := line.fetched) is not None:
        said |= {
            "fetched": asked.fetched,
            "avoided": line.avoided,
            "avoided_share": line.avoided / line.theirs if line.theirs else None,
            "errors": asked.errors,
            "left_alone": asked.refused,
            "median": asked.latency.quantile(0.5),
            "p99": asked.latency.quantile(0.99),
        }
    return said


def _show(found: dict[str, "Line"], by: By) -> None:
    """All of it as a table of 80 columns, and what it comes to."""
    from tokenward.server.usage import Line  # noqa: PLC0415

    if not found:
        say("nobody asked for a token in these days")
        return
    upstream = any(line.fetched is not None for line in found.values())
    head = f"{by.value:<16}{'served':>8} {'':{WIDTH}}{'refused':>8}"
    if upstream:
        head += f"{'fetched':>8}{'avoided':>8}{'errors':>7}{'median':>7}{'p99':>7}"
    say(head, FAINT)
    most = max(line.handed.served for line in found.values())
    for name, line in found.items():
        say(_row(name or UNKNOWN[by.value], line, bar(line.handed.served, most, WIDTH)))
    total = Line()
    for line in found.values():
        total.add(line)
    if len(found) > 1:
        say(_row("all", total, " " * WIDTH))
    if total.theirs and total.fetched is not None:
        say()
        say(
            f"{total.avoided:,} of {total.theirs:,} tokens of others needed no fetch:"
            f" {percent(total.avoided, total.theirs)}."
        )


def _row(name: str, line: "Line", drawn: str) -> str:
    row = f"{short(name, 16):<16}{count(line.handed.served):>8} {drawn}"
    row += f"{count(line.handed.refused):>8}"
    if (asked := line.fetched) is not None:
        row += f"{count(asked.fetched):>8}{percent(line.avoided, line.theirs):>8}"
        row += f"{count(asked.errors):>7}{span(asked.latency.quantile(0.5)):>7}"
        row += f"{span(asked.latency.quantile(0.99)):>7}"
    return row.rstrip()
