"""``tokenward clients``: clients that are not in the configuration file, while the server runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenward.cli import registering
from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Command, Commands, Config, Json
from tokenward.cli.saying import BOLD, FAINT, GREEN, YELLOW, note, painted, say, say_json

if TYPE_CHECKING:
    from tokenward.server.records.clients import Client, Secret

EXAMPLES = """
tokenward clients add partner --scope reports:read
tokenward clients list
tokenward clients secrets add partner --expires 90d
"""

Id = Annotated[str, typer.Argument(help="The client, by its client_id.", metavar="ID")]
Expires = Annotated[
    str,
    typer.Option(
        metavar="PERIOD", help="In which time the secret ends, such as 90d; never unless said."
    ),
]

app = typer.Typer(
    cls=Commands, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
secrets = typer.Typer(
    cls=Commands,
    epilog="""
tokenward clients secrets list partner
tokenward clients secrets add partner --name 2027 --expires 365d
tokenward clients secrets remove partner 2026
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def list_(config: Config = None, json: Json = False) -> None:
    """List the clients that are registered beside the configuration file."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        found = clients.all()
    if json:
        say_json({"ok": True, "clients": [_told(it) for it in found]})
        return
    width = max((len(it.id) for it in found), default=0)
    for it in found:
        state = painted("disabled", YELLOW) if it.disabled else painted("enabled ", GREEN)
        count = f"{len(it.secrets)} secret{'' if len(it.secrets) == 1 else 's'}"
        say(f"{it.id:<{width}}  {state}  {count:<10} {painted(it.client_name, FAINT)}".rstrip())
    if not found:
        note("no client is registered; those of the configuration file: tokenward check")


def show(id: Id, config: Config = None, json: Json = False) -> None:
    """Show what is known of a client. Secrets are not: nobody can get one back."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        client = clients.get(id)
    _show(client, json=json)


def add(
    id: Id,
    grant_type: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="By which right it may ask: client_credentials unless said, token_exchange, "
            "jwt_bearer. May be repeated.",
        ),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(metavar="SCOPES", help="The most it may ever have, separated by spaces."),
    ] = None,
    default: Annotated[
        str, typer.Option(metavar="TOKEN", help="The token meant when a request names none.")
    ] = "",
    name: Annotated[str, typer.Option(metavar="TEXT", help="What people call it.")] = "",
    contact: Annotated[str, typer.Option(metavar="TEXT", help="Who is responsible for it.")] = "",
    expires: Expires = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Register a client, and show its first secret this one time.

    Servers know it within five seconds. It may ask for what the rules allow to caller = "*": that
    is what every client may have, and --scope makes it less. A client of the configuration file
    cannot be registered: what stands there wins.
    """
    settings = settings_or_exit(config, json=json)
    said = registering.wanted(
        settings,
        id,
        grant_types=grant_type,
        scope=scope,
        default=default,
        client_name=name,
        contact=contact,
        json=json,
    )
    secret, known = registering.made(expires, json=json)
    with registering.records(settings, json=json) as clients:
        client = clients.add(said, known)
    _hand_over(client, secret, known.name, json=json)


def disable(id: Id, config: Config = None, json: Json = False) -> None:
    """Refuse a client from now on; tokens it has live until they end."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        client = clients.able(id, able=False)
    _done(client, f"{id} is disabled. Running servers know within 5 seconds.", json=json)


def enable(id: Id, config: Config = None, json: Json = False) -> None:
    """Let a disabled client in again."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        client = clients.able(id, able=True)
    _done(client, f"{id} is enabled. Running servers know within 5 seconds.", json=json)


def remove(id: Id, config: Config = None, json: Json = False) -> None:
    """Forget a client and its secrets; tokens it has live until they end."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        clients.remove(id)
    if json:
        say_json({"ok": True, "removed": id})
    else:
        say(f"{id} is removed. Running servers know within 5 seconds.", BOLD)


def list_secrets(id: Id, config: Config = None, json: Json = False) -> None:
    """List a client's secrets: their names, and when they were made and end."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        client = clients.get(id)
    if json:
        say_json({"ok": True, "secrets": [_told_secret(one) for one in client.secrets]})
        return
    _show_secrets(client)


def add_secret(
    id: Id,
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What the audit trail calls it; a part of its hash unless said."
        ),
    ] = "",
    expires: Expires = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Make another secret for a client, and show it this one time. The others stay good."""
    settings = settings_or_exit(config, json=json)
    secret, known = registering.made(expires, name, json=json)
    with registering.records(settings, json=json) as clients:
        client = clients.add_secret(id, known)
    _hand_over(client, secret, known.name, json=json)


def remove_secret(
    id: Id,
    name: Annotated[str, typer.Argument(help="The secret, by its name.", metavar="NAME")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Take a secret away from a client, which can use the others."""
    with registering.records(settings_or_exit(config, json=json), json=json) as clients:
        client = clients.remove_secret(id, name)
    _done(client, f"{name} is no secret of {id}'s any more.", json=json)
    if not client.secrets and not json:
        note("It has no secret left, and cannot come in: tokenward clients secrets add " + id)


for _group, _name, _command, _brief, _examples in (
    (app, "list", list_, "All that are registered.", "tokenward clients list --json"),
    (app, "show", show, "One of them.", "tokenward clients show partner"),
    (
        app,
        "add",
        add,
        "Register one.",
        """
tokenward clients add partner --scope reports:read --expires 90d
tokenward clients add partner --name "Partner Ltd" --contact ops@partner.example
""",
    ),
    (app, "disable", disable, "Refuse one.", "tokenward clients disable partner"),
    (app, "enable", enable, "Let one in again.", "tokenward clients enable partner"),
    (app, "remove", remove, "Forget one.", "tokenward clients remove partner"),
    (secrets, "list", list_secrets, "Their names.", "tokenward clients secrets list partner"),
    (
        secrets,
        "add",
        add_secret,
        "Make another.",
        "tokenward clients secrets add partner --name 2027 --expires 365d",
    ),
    (
        secrets,
        "remove",
        remove_secret,
        "Take one away.",
        "tokenward clients secrets remove partner 2026",
    ),
):
    _group.command(_name, cls=Command, epilog=_examples, short_help=_brief)(_command)
app.add_typer(secrets, name="secrets", short_help="The secrets of one.")


@app.callback()
def _clients() -> None:
    """Register clients beside the configuration file, while the server runs.

    They are kept in the database of the store, and running servers know within five seconds.
    """


@secrets.callback()
def _secrets() -> None:
    """Change the secrets of a registered client. Several may live at a time."""


def _hand_over(client: "Client", secret: str, name: str, *, json: bool) -> None:
    """Show a secret, which nobody ever sees again."""
    if json:
        say_json({"ok": True, "client": _told(client), "name": name, "secret": secret})
        return
    say(f"client_id      {client.id}")
    say(f"client_secret  {secret}")
    note(f"\nThe secret is for the client alone, and shown this one time. Its name is {name}.")
    note("Running servers know within 5 seconds.")


def _done(client: "Client", text: str, *, json: bool) -> None:
    if json:
        say_json({"ok": True, "client": _told(client)})
    else:
        say(text, BOLD)


def _show(client: "Client", *, json: bool) -> None:
    if json:
        say_json({"ok": True, "client": _told(client)})
        return
    for key, value in _told(client).items():
        if key != "secrets" and value not in ("", None):
            text = " ".join(value) if isinstance(value, list) else value
            say(f"{key:<12} {registering.date(text) if isinstance(text, int) else text}")
    say("secrets", BOLD)
    _show_secrets(client)


def _show_secrets(client: "Client") -> None:
    for one in map(_told_secret, client.secrets):
        end = "never" if one["expires"] is None else registering.date(one["expires"])
        say(f"  {one['name']:<16} made {registering.date(one['made'])}  ends {end}")
    if not client.secrets:
        note("  none: it cannot come in")


def _told(client: "Client") -> dict[str, Any]:
    return {
        "id": client.id,
        "client_name": client.client_name,
        "contact": client.contact,
        "grant_types": sorted(client.grant_types),
        "scope": None if client.scope is None else client.scope.text,
        "default": client.default,
        "registered": round(client.registered),
        "disabled": None if client.disabled is None else round(client.disabled),
        "secrets": [_told_secret(one) for one in client.secrets],
    }


def _told_secret(one: "Secret") -> dict[str, Any]:
    never = one.known.expires == float("inf")
    return {
        "name": one.known.name,
        "made": round(one.made),
        "expires": None if never else round(one.known.expires),
    }
