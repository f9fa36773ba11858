"""What the client tests may use: a node with its packages; and the mark that all of them carry."""

import os
from pathlib import Path

import pytest

from tests.clients import nodejs

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
