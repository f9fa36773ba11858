"""Authlib's authorization server in Flask, served by gunicorn with one worker and eight threads."""

import sys
from pathlib import Path

from bench.contestants import AUTHLIB, Contestant
from bench.ours import Ours
from bench.processes import Cores, Program, free_port
from bench.requests import basic, post

FOLDER = Path(__file__).parents[1] / "peers"


def authlib_flask(folder: Path, cores: Cores, ours: Ours) -> Contestant:
    """With the secret of our client."""
    port = free_port()
    form = {"grant_type": "client_credentials", "scope": "reports:read"}
    welcome = basic("service", ours.secret)
    return Contestant(
        name=AUTHLIB,
        port=port,
        program=Program(
            name=AUTHLIB,
            command=[
                *(sys.executable, "-m", "gunicorn", "authlib_flask:app"),
                *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"),
                *("--threads", "8", "--keep-alive", "60", "--log-level", "error"),
            ],
            folder=folder / "authlib",
            cores=cores.server,
            environ={"PYTHONPATH": str(FOLDER), "SERVICE_SECRET": ours.secret},
        ),
        asked={
            "ES256": lambda: [post("/token", form, welcome)],
            "RS256": lambda: [post("/rsa/token", form, welcome)],
        },
    )
