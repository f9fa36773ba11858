"""``tokenward dev``: a whole server to practise on. Only its help comes from here, see
``practising``.
"""

from pathlib import Path
from typing import Annotated

import typer

from tokenward.cli.practising import FOLDER, PORT, practise

EXAMPLES = """
tokenward dev                        # http://127.0.0.1:8080, or a free port if that is taken
tokenward dev --port 0 --data /tmp/practice
tokenward dev --show-config          # the tokenward.toml it runs with

# in another terminal, in the same folder
. .tokenward/dev.env                 # TOKENWARD_ISSUER, TOKENWARD_CLIENT_ID, ...
tokenward token | tokenward inspect
"""


def dev(
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help=f"The port; 0 picks a free one. {PORT} if not said, or a free one if somebody "
            "has that.",
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The folder for its database, keys and trail; made if missing."
        ),
    ] = FOLDER,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the configuration it uses, and end.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when it is ready.")
    ] = False,
) -> None:
    """Run a token server to practise on: no configuration, on this machine only.

    Beside the server itself it runs a practice identity provider, a practice iTwin Platform and a
    small protected API, and prints what to paste to get a token from each. A browser shows the
    same at its address. Ctrl-C ends all of it.
    """
    practise(port=port, data=data, show_config=show_config, json=json)
