"""uvicorn with the smallest application there is: what HTTP alone costs in Python."""

import sys
from pathlib import Path

from bench.contestants import BARE, HELLO, Contestant
from bench.processes import Cores, Program, free_port
from bench.requests import post

PROGRAM = Path(__file__).parents[1] / "peers" / "hello.py"


def bare(folder: Path, cores: Cores) -> Contestant:
    """Asked by a form, as a token endpoint is."""
    port = free_port()
    form = {"grant_type": "client_credentials", "scope": "reports:read"}
    return Contestant(
        name=BARE,
        port=port,
        program=Program(
            name=BARE,
            command=[sys.executable, "-P", PROGRAM, str(port)],
            folder=folder / "bare",
            cores=cores.server,
        ),
        asked={HELLO: lambda: [post("/", form)]},
    )
