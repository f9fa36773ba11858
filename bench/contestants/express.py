"""An Express server that does what the iTwin mobile sample's token server does."""

from pathlib import Path

from bench import neighbours
from bench.contestants import EXPRESS, MANY, STRANGERS, WARM, Contestant
from bench.node import FOLDER
from bench.ours import Ours
from bench.processes import Cores, Program, free_port
from bench.requests import bearer, get


def express(folder: Path, cores: Cores, ours: Ours, node: Path) -> Contestant:
    """With the same issuer and upstream as ours."""
    port = free_port()
    return Contestant(
        name=EXPRESS,
        port=port,
        program=Program(
            name=EXPRESS,
            command=[
                *(node, FOLDER / "express.mjs", str(port)),
                *(ours.neighbour, neighbours.CLIENT, ours.upstream_secret),
            ],
            folder=folder / "express",
            cores=cores.server,
            environ={"NODE_ENV": "production"},
        ),
        asked={
            WARM: lambda: [get("/getToken", bearer(ours.caller("regular")))],
            STRANGERS: lambda: strangers(ours),
        },
    )


def strangers(ours: Ours) -> list[bytes]:
    """Many people, each asking once in a long while."""
    return [get("/getToken", bearer(ours.caller(f"stranger-{it}"))) for it in range(MANY)]
