"""The records of each kind of database, empty; and a clock one sets."""

import pytest

from tests.server.stores.kinds import SetClock, in_schema, schema
from tokenward.server.records.clients import Clients
from tokenward.server.records.migrating import migrate
from tokenward.server.records.opening import open_engine

KINDS = ("memory", "sqlite", "postgresql")


def url_of(kind, request, folder):
    """A database of this kind that nobody has used."""
    if kind == "memory":
        return "memory:"
    if kind == "sqlite":
        return f"sqlite:{folder}/kept.db"
    import psycopg  # noqa: PLC0415

    database = request.getfixturevalue("records_database")
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema(folder)}".encode())
    return in_schema(database, schema(folder))


@pytest.fixture(scope="session")
def records_database(postgresql):
    return postgresql.fresh()


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    return url_of(request.param, request, tmp_path)


@pytest.fixture(params=KINDS[1:])
def lasting(request, tmp_path):
    """Where there is something left after a process has ended."""
    return url_of(request.param, request, tmp_path)


@pytest.fixture
def engine(url):
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def clients(engine, clock):
    migrate(engine)
    return Clients(engine=engine, clock=clock)


@pytest.fixture
def engine_of():
    """Opens the engine of a URL, and closes it."""
    opened = []

    def open_one(url):
        opened.append(open_engine(url))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.dispose()
