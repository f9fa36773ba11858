"""``tokenward api-keys``: keys for scripts, made and ended while the server runs."""

import secrets
import time
from math import inf, isinf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenward.cli import keymaking
from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Command, Commands, Config, Json
from tokenward.cli.registering import date
from tokenward.cli.saying import BOLD, FAINT, GREEN, YELLOW, note, painted, say, say_json

if TYPE_CHECKING:
    from tokenward.server.records.apikeys import ApiKey

EXAMPLES = """
tokenward api-keys new nightly-export --owner ann@example.com
tokenward api-keys list
tokenward api-keys revoke 3f9a1c07
"""

Id = Annotated[str, typer.Argument(help="The key, by the id that list shows.", metavar="ID")]

app = typer.Typer(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


def new(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Who or what will use it; it is called CALLER|NAME in tokens."
        ),
    ],
    owner: Annotated[
        str, typer.Option(metavar="TEXT", help="Who is responsible for it, such as an address.")
    ],
    caller: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help='Which of the callers with proof = "api_key"; needed only if there are several.',
        ),
    ] = "",
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A group it is in (claim groups). May be repeated."),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What else rules may look at. May be repeated.",
        ),
    ] = None,
    expires: Annotated[
        str,
        typer.Option(
            metavar="PERIOD",
            help="In which time it ends, such as 30d; the lifetime of its caller unless said.",
        ),
    ] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key for a script, and show it this one time.

    Servers know it within five seconds. It is good for what the rules allow to its caller. A name
    may have several keys, so that one can take the place of another.
    """
    from tokenward.server import apikeys  # noqa: PLC0415

    settings = settings_or_exit(config, json=json)
    mine = keymaking.caller_of(settings, caller, json=json)
    key, pepper = apikeys.make(), keymaking.pepper(settings, json=json)
    entry = apikeys.Entry(
        id=secrets.token_hex(4),
        caller=mine,
        name=keymaking.one_line("NAME", name, json=json),
        owner=keymaking.one_line("--owner", owner, json=json),
        claims=keymaking.claims(claim or [], group or [], json=json),
        digest=apikeys.digest_of(key, pepper),
        expires=keymaking.end(settings, mine, expires, json=json),
    )
    with keymaking.keys(settings, json=json) as keys:
        made = keys.add(entry)
    if json:
        say_json({"ok": True, "key": key, **_told(made, None)})
        return
    say(f"key  {key}")
    note(f"\nThe key is for {name} alone, and shown this one time. Its id is {entry.id};")
    note(f"it ends {_end(entry.expires)}. Running servers know within 5 seconds.")


def list_(config: Config = None, json: Json = False) -> None:
    """List the keys: for whom they are, when they end, and when they were last used."""
    settings = settings_or_exit(config, json=json)
    with keymaking.keys(settings, json=json) as keys:
        found = keys.all()
    used = keymaking.used(settings, [it.entry.id for it in found], json=json)
    if json:
        say_json({"ok": True, "keys": [_told(it, used.get(it.entry.id)) for it in found]})
        return
    for it in found:
        entry, state = it.entry, it.state(time.time())
        shown = painted(f"{state:<7}", GREEN if state == "good" else YELLOW)
        last = f"used {date(used[entry.id])}" if entry.id in used else "never used"
        whose = f"{entry.caller}|{entry.name}"
        say(f"{entry.id}  {shown}  {whose}  {painted(entry.owner, FAINT)}")
        say(f"          ends {_end(entry.expires)}, {last}")
    if not found:
        note("there is no key; one is made with: tokenward api-keys new NAME --owner WHO")


def expire(
    id: Id,
    within: Annotated[
        str, typer.Option("--in", metavar="PERIOD", help="In which time it ends, such as 7d.")
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Let a key end sooner than it would. A key that is to last longer is a new one."""
    settings = settings_or_exit(config, json=json)
    at = time.time() + keymaking.period("--in", within, json=json)
    with keymaking.keys(settings, json=json) as keys:
        key = keys.expire(id, at)
    _done(key, f"{id} ends {_end(at)}.", json=json)


def revoke(id: Id, config: Config = None, json: Json = False) -> None:
    """Refuse a key from now on; tokens that were given for it live until they end."""
    settings = settings_or_exit(config, json=json)
    with keymaking.keys(settings, json=json) as keys:
        key = keys.revoke(id)
    _done(key, f"{id} is revoked. Running servers know within 5 seconds.", json=json)


for _name, _command, _brief, _examples in (
    (
        "new",
        new,
        "Make one.",
        """
tokenward api-keys new nightly-export --owner ann@example.com
tokenward api-keys new nightly-export --owner ann@example.com --group exporters --expires 30d
tokenward api-keys new probe --owner ops@example.com --caller scripts --claim team=ops
""",
    ),
    ("list", list_, "All there are.", "tokenward api-keys list --json"),
    ("expire", expire, "Let one end sooner.", "tokenward api-keys expire 3f9a1c07 --in 7d"),
    ("revoke", revoke, "Refuse one.", "tokenward api-keys revoke 3f9a1c07"),
):
    app.command(_name, cls=Command, epilog=_examples, short_help=_brief)(_command)


@app.callback()
def _api_keys() -> None:
    """Make and end API keys, while the server runs.

    They are for callers with proof = "api_key", and kept in the database of the store, as what
    they can be recognised by: nobody can get one back. Running servers know within five seconds.
    """


def _done(key: "ApiKey", text: str, *, json: bool) -> None:
    if json:
        say_json({"ok": True, **_told(key, None)})
    else:
        say(text, BOLD)


def _end(at: float) -> str:
    return "never" if isinf(at) else f"on {date(at)}"


def _told(key: "ApiKey", used: float | None) -> dict[str, Any]:
    entry = key.entry
    return {
        "id": entry.id,
        "caller": entry.caller,
        "name": entry.name,
        "owner": entry.owner,
        "claims": dict(entry.claims),
        "state": key.state(time.time()),
        "made": round(key.made),
        "expires": None if entry.expires == inf else round(entry.expires),
        "revoked": None if key.revoked is None else round(key.revoked),
        "used": None if used is None else round(used),
    }
