"""A clock one sets, and a store of each kind."""

import psycopg
import pytest

from tests.server.stores import kinds
from tests.server.stores.kinds import SetClock, in_schema, schema


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture(scope="session")
def database(postgresql):
    """The URL of a database; each test has tables of its own in it."""
    return postgresql.fresh()


@pytest.fixture
def url(database, tmp_path):
    """The URL of a schema without tables."""
    name = schema(tmp_path)
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {name}".encode())
    return in_schema(database, name)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def kind(request):
    return kinds.of(request, request.param)


@pytest.fixture
async def store(kind, clock, tmp_path):
    store = kind.make(tmp_path, clock)
    await store.open()
    yield store
    await store.close()
