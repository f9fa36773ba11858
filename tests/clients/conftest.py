"""What the client tests may use: a node with its packages, a server; and the mark of them all."""

import os
from pathlib import Path

import pytest

from tests.clients import nodejs, served
from tests.leaks import ledger
from tests.running import CONFIG, free_port, running
from tests.servers import Issuer
from tokenward.jose.keys import SigningKey

__all__ = ["ledger", "running"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark every test of this folder, so that none of them can be forgotten."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.clients)


@pytest.fixture(scope="session")
def node() -> nodejs.Node:
    """A node that works; where there is none, the test is skipped, or fails if nothing may be."""
    try:
        return nodejs.find()
    except nodejs.Missing as missing:
        if os.environ.get("TOKENWARD_SKIP_NOTHING"):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def tokenward(running, ledger):
    """A running server with an issuer of every dialect."""
    with (
        Issuer(SigningKey.generate("RS256")).serving() as friend,
        running(
            "clients",
            files=served.settings(friend, free_port(), native := free_port()),
            environ=served.secrets(ledger),
            arguments=("--config", CONFIG),
        ) as server,
    ):
        yield served.Served(
            server=server, friend=friend, keys=server.keys(), native=f"127.0.0.1:{native}"
        )
