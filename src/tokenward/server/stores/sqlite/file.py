"""The file itself: where it is, who may read it, which tables are in it.

Law: only its owner may read what we create, and we never write to a file of a later version.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from tokenward.server.stores import WrongStore

_VERSIONS = (
    # ``until`` is never NULL: for good is infinity. AUTOINCREMENT never gives a number twice, not
    # even after the lease is gone (fencing).
    """
    CREATE TABLE shelf (
        key TEXT PRIMARY KEY NOT NULL,
        value BLOB NOT NULL,
        until REAL NOT NULL
    );
    CREATE INDEX shelf_until ON shelf (until);
    CREATE TABLE chains (
        key TEXT PRIMARY KEY NOT NULL,
        family TEXT NOT NULL,
        value BLOB,
        replay BLOB,
        spent REAL,
        successor TEXT,
        until REAL NOT NULL
    );
    CREATE INDEX chains_family ON chains (family);
    CREATE INDEX chains_until ON chains (until);
    CREATE TABLE leases (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        until REAL NOT NULL
    );
    CREATE INDEX leases_until ON leases (until)
    """,
)
"""What brings the tables from each version to the next."""


def busy(problem: BaseException) -> bool:
    """Whether somebody else is at it, so that waiting helps."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def create(path: Path) -> None:
    """Make the file and its folder, unless they are there."""
    make_folder(path)
    # Only a new file is opened here: closing an old one would give up the locks that this
    # process holds on it through SQLite.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def make_folder(path: Path) -> None:
    """Make the folder of this file, unless it is there."""
    for folder in reversed(path.absolute().parents):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that never waits, and begins a transaction only when told to."""
    return sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file up to our version. May be called again after it raised ``busy``."""
    version_of(db, path)
    if db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise WrongStore(f"{path} is where SQLite cannot keep a write-ahead log; use a local disk")
    db.execute("PRAGMA synchronous = FULL")
    if version_of(db, path) < len(_VERSIONS):
        try:
            db.execute("BEGIN IMMEDIATE")
            for script in _VERSIONS[version_of(db, path) :]:
                for statement in script.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(_VERSIONS)}")
            db.execute("COMMIT")
        finally:
            db.rollback()


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """The version of its tables, 0 if there are none; ``WrongStore`` if they are not for us."""
    try:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as problem:
        if getattr(problem, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
            raise WrongStore(f"{path} is not a SQLite database") from None
        raise
    if version > len(_VERSIONS):
        raise WrongStore(
            f"{path} was written by a newer tokenward (its tables are of version {version},"
            f" this one knows {len(_VERSIONS)}): use that one, or another file"
        )
    return version


def identity(path: Path) -> tuple[int, int]:
    """Which file this is. What is written to one that was deleted or replaced would be lost."""
    found = path.stat()
    return found.st_dev, found.st_ino
