"""Programs that measure, and those they measure, are not followed line by line by coverage."""

import os

import pytest


@pytest.fixture(scope="package", autouse=True)
def unfollowed():
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COVERAGE")]:
            patch.delenv(name)
        yield
