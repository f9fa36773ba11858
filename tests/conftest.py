"""What every test may use: one event loop backend, a whole server, and keys that are ready."""

import itertools
import os
from collections import Counter
from pathlib import Path

import pytest

from tests import databases, hsm
from tests.tiers import HOMES, PROGRAMS
from tests.world import a_world
from tokenward.jose.keys import SigningKey

LONG = frozenset(
    f"test_{name}"
    for name in (
        *("accounts", "backup", "chains_model", "contestants", "crowds", "faults", "keys", "kills"),
        *("migrations", "postgresql", "races", "results", "soak_runs", "tiers", "two_nodes"),
    )
)
"""Files of few tests that take long: where several share the work, these are begun first."""


LONGEST_ID = 40
"""Characters of a value in a test's name. Longer ones are keys, tokens and other things of chance:
with them the same test had another name in each process that runs some of them."""


def pytest_make_parametrize_id(config, val, argname):
    """Call what is long by what it is for."""
    return argname if isinstance(val, str | bytes) and len(val) > LONGEST_ID else None


def pytest_collection_modifyitems(config, items):
    """Mark what starts whole programs, and what takes long, by where it lives."""
    tests = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        if folder in PROGRAMS:
            item.add_marker("programs")
        elif folder == "fuzz":
            item.add_marker("fuzz")
        for tier, homes in HOMES.items():
            if folder not in homes and item.get_closest_marker(tier):
                raise pytest.UsageError(f"{item.nodeid} would never run: it belongs into {homes}")
    if hasattr(config, "workerinput"):
        many = Counter(item.path for item in items)
        items.sort(key=lambda item: (item.path.stem not in LONG, -many[item.path]))


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def rsa_keys():
    """A few real RSA keys: making one takes longer than most tests."""
    return [SigningKey.generate("RS256") for _ in range(6)]


@pytest.fixture
def dealt(monkeypatch, rsa_keys):
    """Whoever wants an RSA key, and no name for it, gets one of those."""
    generate, dealt = SigningKey.generate, itertools.count()

    def deal(algorithm, **more):
        if algorithm != "RS256" or more:
            return generate(algorithm, **more)
        return rsa_keys[next(dealt) % len(rsa_keys)]

    monkeypatch.setattr(SigningKey, "generate", deal)


@pytest.fixture(scope="session")
def postgresql():
    """A real PostgreSQL, the same one for all; ``fresh()`` is the URL of a database in it."""
    with databases.shared(databases.PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def redis():
    """A real Redis, the same one for all; ``url()`` names a database in it."""
    with databases.shared(databases.Redis) as server:
        yield server


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory):
    """A hardware module in software, for this process and those it starts with ``environ``."""
    try:
        module = hsm.SoftHsm(tmp_path_factory.mktemp("hsm"))
    except hsm.Missing as missing:
        if os.environ.get("TOKENWARD_SKIP_NOTHING"):
            raise
        pytest.skip(str(missing))
    os.environ.update(module.environ)  # the library asks when it is loaded
    return module


@pytest.fixture
async def world(worlds):
    async with worlds() as world:
        yield world


@pytest.fixture
def worlds(tmp_path, dealt):
    """Makes worlds: ``async with worlds(store=…) as world``."""
    return lambda **options: a_world(tmp_path, **options)
