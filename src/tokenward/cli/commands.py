"""All commands there are."""

import platform
from typing import Annotated

import typer

from tokenward import __version__
from tokenward.cli import check, dev, explain, hash, inspect, serve, token
from tokenward.cli.options import Command, Commands
from tokenward.cli.saying import say

EXAMPLES = """
tokenward dev                  a server to practise on, and what to paste to get tokens
tokenward hash                 a secret for a client, and the hash that the server keeps
tokenward check                would the tokenward.toml of this folder do?
tokenward explain nightly      which rule answers the caller nightly, and what
tokenward serve                run the server
tokenward token | tokenward inspect     get a token, and see what it says

Each command has more: tokenward token --help
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

for _command, _examples in (
    (dev.dev, dev.EXAMPLES),
    (serve.serve, serve.EXAMPLES),
    (check.check, check.EXAMPLES),
    (explain.explain, explain.EXAMPLES),
    (hash.hash, hash.EXAMPLES),
    (token.token, token.EXAMPLES),
    (inspect.inspect, inspect.EXAMPLES),
):
    app.command(cls=Command, epilog=_examples)(_command)


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
