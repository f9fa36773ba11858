"""All commands there are."""

import platform
from typing import Annotated

import typer

from tokenward import __version__
from tokenward.cli import (
    apikeys,
    backup,
    broker,
    check,
    clients,
    connections,
    dev,
    explain,
    hash,
    hub,
    identity,
    inspect,
    keys,
    restore,
    serve,
    token,
    usage,
)
from tokenward.cli.options import Command, Commands
from tokenward.cli.saying import say

EXAMPLES = """
# to begin with: prints what to paste to get tokens
tokenward dev

# with a tokenward.toml in this folder
tokenward check && tokenward serve

# each command has examples of its own
tokenward token --help
"""

app = typer.Typer(
    name="tokenward",
    cls=Commands,
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

for _command, _brief, _examples in (
    (dev.dev, "A server to practise on, with everything to paste.", dev.EXAMPLES),
    (serve.serve, "Run the server.", serve.EXAMPLES),
    (check.check, "Would this configuration do?", check.EXAMPLES),
    (explain.explain, "Which rule answers whom, and what.", explain.EXAMPLES),
    (hash.hash, "Make a client secret, and its hash.", hash.EXAMPLES),
    (keys.keys, "The keys that sign, and changing them.", keys.EXAMPLES),
    (broker.broker, "Tokens of others that are shared, and forgetting them.", broker.EXAMPLES),
    (usage.usage, "How many tokens, for whom, and how many fetches were saved.", usage.EXAMPLES),
    (backup.backup, "A copy of what the server keeps, while it runs.", backup.EXAMPLES),
    (restore.restore, "Put a backup back, while no server runs.", restore.EXAMPLES),
    (token.token, "Get a token, from this or any other server.", token.EXAMPLES),
    (inspect.inspect, "What a token says, and whether to believe it.", inspect.EXAMPLES),
):
    app.command(cls=Command, epilog=_examples, short_help=_brief)(_command)

app.add_typer(
    clients.app, name="clients", short_help="Clients that are not in the configuration file."
)
app.add_typer(apikeys.app, name="api-keys", short_help="Keys for scripts.")
app.add_typer(
    connections.app, name="connections", short_help="Accounts that people have connected."
)
app.add_typer(hub.app, name="hub", short_help="Keys that applications show at a hub.")
app.add_typer(identity.app, name="identity", short_help="A private key instead of a password.")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"tokenward {__version__} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """A token server: it holds the secrets, checks who is asking, and hands out tokens.

    The tokens live briefly and are its own or somebody else's. Every command but serve and dev
    ends at once: with 0 if it is done, 1 if something was refused or failed, 2 if it did not
    understand you, 78 if the configuration does not make sense.
    """
