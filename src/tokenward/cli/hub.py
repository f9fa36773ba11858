"""``tokenward hub``: the keys that applications show at a hub, made and ended while it runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenward.cli import hubkeeping
from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Command, Commands, Config, Json
from tokenward.cli.registering import date
from tokenward.cli.saying import (
    BOLD,
    FAINT,
    GREEN,
    USAGE,
    YELLOW,
    fail,
    note,
    painted,
    say,
    say_json,
)

if TYPE_CHECKING:
    from tokenward.server.records.hubkeys import HubKey

EXAMPLES = """
tokenward hub keys new
tokenward hub keys list
tokenward hub keys disable bfausukzmfuxc6mbrgiztinjwg4
"""

app = typer.Typer(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
keys_app = typer.Typer(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


def new(
    caller: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help='Which of the callers with proof = "hub_key"; needed only if there are several.',
        ),
    ] = "",
    type: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="user or account, which is the claim app_type of its people; user unless said.",
        ),
    ] = "user",
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Without a secret: whoever knows the key speaks for the application.",
        ),
    ] = False,
    key: Annotated[
        str, typer.Option(metavar="KEY", help="One that exists, such as from a Hub of old.")
    ] = "",
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Its secret is on standard input.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key for an application, and show its secret this one time.

    The key is for every copy of the application, the secret for its server alone. Servers
    know it within five seconds. It is good for what the rules allow to its caller. An application
    may have several keys, so that one can take the place of another.
    """
    from tokenward.jose import multibase  # noqa: PLC0415
    from tokenward.server import hubkeys  # noqa: PLC0415
    from tokenward.server.records.hubkeys import HubKey  # noqa: PLC0415

    if type not in (hubkeys.USER, hubkeys.ACCOUNT):
        fail("--type is user or account", code=USAGE, in_json=json)
    settings = settings_or_exit(config, json=json)
    mine = hubkeeping.caller_of(settings, caller, json=json)
    named, secret = hubkeeping.wanted(settings, key, insecure=insecure, stdin=stdin, json=json)
    with hubkeeping.keys(settings, json=json) as keys:
        made = keys.add(HubKey(key=named, caller=mine, type=type, secured=bool(secret)))
        if secret:
            hubkeeping.kept(
                settings,
                lambda shelf, seal: hubkeys.keep_secret(
                    named, multibase.decode(secret), shelf=shelf, seal=seal
                ),
            )
    shown = "" if key else secret
    if json:
        say_json({"ok": True, **({"secret": shown} if shown else {}), **_told(made)})
        return
    say(f"key     {named}")
    if shown:
        say(f"secret  {shown}")
        note("\nThe secret is for the application's server alone, and shown this one time.")
    elif not secret:
        note("\nIt has no secret: everybody who knows it gets tokens, for as long as it is good.")
    note(f"It is a key of {mine}. Running servers know within 5 seconds.")


def list_(config: Config = None, json: Json = False) -> None:
    """List the keys: whose they are, and whether they are good."""
    settings = settings_or_exit(config, json=json)
    with hubkeeping.keys(settings, json=json) as keys:
        found = keys.all()
    if json:
        say_json({"ok": True, "keys": [_told(it) for it in found]})
        return
    for it in found:
        state = "good" if it.disabled is None else "disabled"
        shown = painted(f"{state:<8}", GREEN if state == "good" else YELLOW)
        kind = it.type if it.secured else f"{it.type}, without a secret"
        say(f"{it.key}  {shown}  {it.caller}  {painted(f'{kind}, made {date(it.made)}', FAINT)}")
    if not found:
        note("there is no key but the configuration's; one is made with: tokenward hub keys new")


def disable(
    key: Annotated[str, typer.Argument(help="The key, as list shows it.", metavar="KEY")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Refuse a key for good, and forget its secret; tokens live until they end."""
    from tokenward.server import hubkeys  # noqa: PLC0415

    settings = settings_or_exit(config, json=json)
    if owner := hubkeeping.written(settings).get(key):
        fail(
            f"{key} is a key of the configuration",
            f"Take it away from callers.{owner}, and let the server read that.",
            in_json=json,
        )
    with hubkeeping.keys(settings, json=json) as keys:
        ended = keys.disable(key)
        hubkeeping.kept(settings, lambda shelf, _: hubkeys.forget_secret(key, shelf=shelf))
    if json:
        say_json({"ok": True, **_told(ended)})
    else:
        say(f"{key} is disabled. Running servers know within 5 seconds.", BOLD)


for _name, _command, _brief, _examples in (
    (
        "new",
        new,
        "Make one.",
        """
tokenward hub keys new
tokenward hub keys new --caller notes --type account
tokenward hub keys new --insecure                       # while trying things out
tokenward hub keys new --key bfausukzmfuxc6mbrgiztinjwg4 --stdin < secret-of-old
""",
    ),
    ("list", list_, "All there are.", "tokenward hub keys list --json"),
    (
        "disable",
        disable,
        "Refuse one.",
        "tokenward hub keys disable bfausukzmfuxc6mbrgiztinjwg4",
    ),
):
    keys_app.command(_name, cls=Command, epilog=_examples, short_help=_brief)(_command)
app.add_typer(keys_app, name="keys", short_help="The keys that applications show.")


@app.callback()
def _hub() -> None:
    """What a hub for Textile's clients needs, besides its configuration."""


@keys_app.callback()
def _hub_keys() -> None:
    """Make and end the keys that applications show at a hub, while it runs.

    They are for callers with proof = "hub_key", and kept in the database of the store, their
    secrets sealed. Running servers know within five seconds.
    """


def _told(key: "HubKey") -> dict[str, Any]:
    return {
        "key": key.key,
        "caller": key.caller,
        "type": key.type,
        "secured": key.secured,
        "state": "good" if key.disabled is None else "disabled",
        "made": round(key.made),
        "disabled": None if key.disabled is None else round(key.disabled),
    }
