"""``tokenward serve``: run the server. Only its help comes from here, see ``server.__main__``."""

from pathlib import Path
from typing import Annotated

import typer

from tokenward.cli.check import Config


def serve(
    config: Config = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "",
    port: Annotated[
        int | None, typer.Option(help="The port to listen on; 0 picks a free one.")
    ] = None,
) -> None:
    """Run the server that tokenward.toml in this folder describes.

    Without such a file, the ITM_TOKEN_SERVER_* settings of the iTwin mobile token server are
    looked for in the environment, .env.local and .env. Every mistake is reported before a port
    opens (exit code 78). SIGTERM lets running requests end.
    """
    from tokenward.server.__main__ import run  # noqa: PLC0415

    raise typer.Exit(run(config=Path(config) if config else None, host=host, port=port))
