"""Where the records are: in the database of the store, which a URL names as a store does.

Law of this module: nobody hears the password, which the URL contains; and a transaction is begun
by us alone, at once for writing, so that of two who want to change something one waits.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from tokenward.clock import now
from tokenward.server.stores import StoreUnavailable, open_store
from tokenward.server.stores.sqlite import file

PATIENCE = 10.0
"""Seconds that a question waits for others who change the same."""


def open_engine(url: str) -> Engine:
    """The database that a store's URL names; nothing is opened yet. Raises ``WrongStore``."""
    store = open_store(url, now)
    if store.path is not None:
        return _sqlite(store.path)
    if url.lower().startswith("memory:"):
        return _sqlite(None)
    return _postgresql(url.partition(":")[2])


@contextmanager
def answering() -> Iterator[None]:
    """What a database cannot do is ``StoreUnavailable``, and none of its own text is passed on."""
    try:
        yield
    except DBAPIError as exc:
        said = getattr(exc.orig, "sqlite_errorname", None) or getattr(exc.orig, "sqlstate", None)
        detail = f"the records: {type(exc.orig).__name__}" + (f" ({said})" if said else "")
        raise StoreUnavailable(detail) from None


def _sqlite(path: Path | None) -> Engine:
    """A file, or a database in memory that lives as long as its engine."""

    def connect() -> Any:
        if path is None:
            db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            file.create(path)
            db = file.connect(path)
        db.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        return db

    pool = StaticPool if path is None else NullPool
    engine = create_engine("sqlite://", creator=connect, poolclass=pool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(rest: str) -> Engine:
    import psycopg  # noqa: PLC0415 - comes with an extra

    def connect() -> Any:
        db = psycopg.connect(
            f"postgresql:{rest}",
            connect_timeout=3,
            fallback_application_name="tokenward",
            target_session_attrs="read-write",
        )
        # What an operator set for other uses must not change what we promise.
        db.execute(
            "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
            " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
            " set_config('default_transaction_isolation', 'read committed', false),"
            " set_config('lock_timeout', %s, false)",
            [f"{PATIENCE * 1000:.0f}"],
        )
        db.commit()
        return db

    return create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=NullPool, hide_parameters=True
    )
