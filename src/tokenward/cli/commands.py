"""All commands there are."""

from typing import Annotated

import typer

from tokenward import __version__
from tokenward.cli import check, dev, explain, hash, inspect, serve, token

app = typer.Typer(
    name="tokenward",
    help="A token server: it holds the secrets, checks who is asking, and hands out short-lived "
    "tokens, its own or somebody else's.\n\nStart with: tokenward dev",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (
    dev.dev,
    serve.serve,
    check.check,
    explain.explain,
    hash.hash,
    token.token,
    inspect.inspect,
):
    app.command()(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tokenward {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass
