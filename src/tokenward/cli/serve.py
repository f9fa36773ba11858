"""``tokenward serve``: run the server. Only its help comes from here, see ``server.__main__``."""

from typing import Annotated

import typer

from tokenward.cli.options import Config

EXAMPLES = """
tokenward serve
tokenward serve --config /etc/tokenward/tokenward.toml --port 8081
tokenward serve --workers 2

# what the iTwin mobile sample's own server is told, in .env.local
ITM_TOKEN_SERVER_CLIENT_ID=service-...
ITM_TOKEN_SERVER_CLIENT_SECRET=...
ITM_TOKEN_SERVER_AUTH0_DOMAIN=dev-x.us.auth0.com
"""


def serve(
    config: Config = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "",
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 picks a free one."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=1,
            max=64,
            help="How many processes share the port; 1 unless said.",
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Say what is said on standard error as JSON, one object a line."
        ),
    ] = False,
) -> None:
    """Run the server that tokenward.toml in this folder describes.

    Without such a file, the ITM_TOKEN_SERVER_* settings of the iTwin mobile token server are
    looked for in the environment, .env.local and .env. Every mistake is reported before a port
    opens (exit code 78). SIGTERM and Ctrl-C let running requests end. Unless the file says
    otherwise, the audit trail goes to standard output.
    """
    from tokenward.server.__main__ import run  # noqa: PLC0415

    raise typer.Exit(run(config=config, host=host, port=port, workers=workers, json=json))
