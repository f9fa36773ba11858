"""From no tables to those of today and back, by one of many, and through a kill -9."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from tokenward.server.records.migrating import migrate, version
from tokenward.server.records.tables import METADATA, VERSIONS
from tokenward.server.stores import StoreUnavailable, WrongStore, open_store

ROOT = Path(__file__).parents[3]
FOLDER = "tokenward/server/records/migrations"
STEPS = sorted(it.name for it in (ROOT / "src" / FOLDER / "versions").glob("r*.py"))
NEWEST = STEPS[-1][1:5]


def ours(engine):
    return {name for name in inspect(engine).get_table_names() if name != VERSIONS}


def test_from_nothing_to_the_tables_that_the_source_describes(engine):
    assert version(engine) is None
    assert migrate(engine) is True
    assert ours(engine) == set(METADATA.tables)
    with engine.begin() as connection:
        options = {"version_table": VERSIONS, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_a_table_that_no_step_makes_would_be_noticed(engine):
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE tokenward_clients DROP COLUMN contact"))
        context = MigrationContext.configure(connection, opts={"version_table": VERSIONS})
        ((what, _, table, column),) = compare_metadata(context, METADATA)
    assert (what, table, column.name) == ("add_column", "tokenward_clients", "contact")


def test_what_is_done_is_not_done_again(engine):
    assert migrate(engine) is True
    before = version(engine)
    assert migrate(engine) is False
    assert version(engine) == before


def test_there_and_back_and_there_again(engine):
    migrate(engine)
    assert migrate(engine, "base") is True
    assert (version(engine), ours(engine)) == (None, set())
    assert migrate(engine) is True
    assert ours(engine) == set(METADATA.tables)


def test_tables_of_a_later_version_are_left_alone(engine):
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE tokenward_records SET version_num = '9999'"))
    with pytest.raises(WrongStore, match="written by a newer tokenward"):
        migrate(engine)
    assert ours(engine) == set(METADATA.tables)


async def test_the_store_and_the_records_share_a_database(lasting, engine_of, clock):
    store = open_store(lasting, clock)
    await store.open()
    await store.shelf.put("key", b"value", until=None)
    migrate(engine_of(lasting))
    assert await store.shelf.get("key") == b"value"
    migrate(engine_of(lasting), "base")
    assert await store.shelf.get("key") == b"value"
    await store.close()


def stepping(what, url):
    done = subprocess.run(
        [sys.executable, "-m", "tests.server.records.taking_steps", what, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_of_some_who_start_at_once_one_migrates(lasting):
    assert sorted(stepping("race", lasting)) == [0, 0, 0, 0, 0, 1]


def test_killed_anywhere_in_the_middle_nothing_has_happened_and_the_next_completes_it(lasting):
    *killed, last = stepping("kill", lasting)
    assert len(killed) >= 8
    assert {tuple(one) for one in killed} == {(-9, None, 0)}
    assert last == [1, NEWEST, len(METADATA.tables) + 1]


def test_migrating_says_nothing_of_its_own(engine, caplog, capfd):
    caplog.set_level(logging.WARNING)
    migrate(engine)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


async def test_a_database_that_is_gone_is_unavailable_and_nobody_hears_the_password(engine_of):
    from tokenward.server.records.opening import answering  # noqa: PLC0415

    gone = engine_of("postgresql://tokenward:a-password-to-hide@127.0.0.1:1/kept")
    with pytest.raises(StoreUnavailable) as told, answering():
        migrate(gone)
    assert "a-password-to-hide" not in f"{told.value!r} {told.value.detail} {gone!r}"
    assert told.value.__cause__ is None


def test_the_steps_are_in_the_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(ZipFile(wheel).namelist())
    assert {f"{FOLDER}/env.py", *(f"{FOLDER}/versions/{step}" for step in STEPS)} <= names
