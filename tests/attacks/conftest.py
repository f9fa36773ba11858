"""One server for all attacks that leave it standing, and others for those that do not."""

from contextlib import ExitStack

import pytest

from tests.attacks.lab import Lab


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    with ExitStack() as stack:
        lab = Lab(tmp_path_factory.mktemp("lab"), stack)
        lab.server.start()
        yield lab
        assert lab.server.end(15) == 0
        assert "raceback" not in lab.server.stderr


@pytest.fixture(scope="package")
def server(lab):
    return lab.server


@pytest.fixture
def labs(tmp_path):
    """Makes labs of one's own, not started."""
    with ExitStack() as stack:
        yield lambda **options: Lab(tmp_path / "lab", stack, **options)
