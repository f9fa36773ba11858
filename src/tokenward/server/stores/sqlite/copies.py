"""A copy of the file, made while others write to it; and a copy put in the file's place.

A copy is of one moment, and is a SQLite file itself. A table in it says when it was made and of
what; it is gone when the copy has become a store again.

Law: nothing has its name before it is whole, checked and on the disk; nothing is overwritten but
an older copy; and no store is replaced while a process has it open.
"""

import errno
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, field
from hashlib import sha256
from pathlib import Path

from tokenward.server.stores import WrongStore
from tokenward.server.stores.sqlite.file import busy, connect, make_folder, version_of

_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite writes beside a file, to be read together with it."""

_LOGGED = b"\x02\x02"
"""What stands in byte 18 of a file in write-ahead mode, which no copy is in."""

_PAGES = 4096
"""Pages that are copied at a time; in between, Ctrl-C is heard."""

_PATIENCE_MS = 5000
_READERS = (510, 0x40000002)
"""Number and place of the bytes that SQLite locks for as long as a process has a file in
write-ahead mode open (https://www.sqlite.org/fileformat.html, the lock-byte page)."""

_LABEL = """CREATE TABLE tokenward_backup (
    made REAL NOT NULL, version TEXT NOT NULL, configuration TEXT NOT NULL, key TEXT NOT NULL,
    digest TEXT NOT NULL
)"""


class InUse(WrongStore):
    """A process has this file open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a copy says about itself."""

    made: float
    """When, in seconds since the epoch."""

    version: str
    """Which tokenward made it."""

    configuration: str
    """The SHA-256 of the configuration file in hexadecimal; ``""`` if there was none."""

    key: str = field(default="", repr=False)
    """The encryption key as text, if that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy that has been found to be whole, for as long as it is open."""

    label: Label
    db: sqlite3.Connection = field(repr=False)

    def shelf(self, prefix: str) -> list[tuple[str, bytes]]:
        """What is on its shelf under keys that begin so."""
        found = self.db.execute(
            "SELECT key, value FROM shelf WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)
        )
        return list(found)


def take(store: Path, to: Path, label: Label, *, force: bool = False) -> int:
    """Copy this file, whoever uses it, and give its size in bytes. ``force``: in the place of an
    older copy. Raises ``WrongStore``, ``OSError`` and ``sqlite3.Error``; nothing is there then."""
    if not store.exists():
        raise WrongStore(f"there is nothing to copy yet: {store} does not exist")
    _may_become(to, store, force=force)
    with _draft(to) as draft:
        with closing(connect(store)) as db, closing(connect(draft)) as copy:
            db.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
            db.execute("BEGIN")
            if not version_of(db, store):
                raise WrongStore(f"there is nothing to copy yet: {store} is empty")
            _copy(db, copy)
            _check(copy, f"{store} is damaged")
            copy.execute(_LABEL)
            values = (*astuple(label), _digest(copy))
            copy.execute("INSERT INTO tokenward_backup VALUES (?, ?, ?, ?, ?)", values)
        _sync(draft)
        if force:
            draft.replace(to)
        else:
            _named(draft, to)
        _sync(to.absolute().parent)
        return to.stat().st_size


@contextmanager
def opened(path: Path) -> Iterator[Backup]:
    """A copy that was made by ``take``, whole and of a version that we know; else ``WrongStore``.

    Nobody can change it while it is open.
    """
    if not path.is_file():
        raise WrongStore(f"there is no file {path}")
    with closing(_reading(path)) as db:
        try:
            db.execute("BEGIN")
            version = version_of(db, path)
            label, digest = _label(db, path)
            _check(db, f"{path} is damaged")
            if not version or digest != _digest(db):
                raise WrongStore(f"{path} is damaged: it is not what it was when it was made")
        except sqlite3.DatabaseError as problem:
            raise WrongStore(f"{path} cannot be read: {problem}") from None
        yield Backup(label=label, db=db)


def put_back(
    backup: Backup, store: Path, aside: Path, *, first: Callable[[], None] | None = None
) -> bool:
    """Let this be the store from now on; whether there was one, which is ``aside`` now.

    ``first`` is done before, when it is certain that nobody uses the store. Raises ``InUse`` if a
    process has it open, and ``WrongStore``, ``OSError`` and ``sqlite3.Error``; the store is as it
    was then.
    """
    store = store.resolve()
    make_folder(store)
    with _draft(store) as draft:
        with closing(connect(draft)) as copy:
            _copy(backup.db, copy)
            copy.execute("PRAGMA secure_delete = ON")  # a key that was in it is nowhere after this
            copy.execute("DROP TABLE tokenward_backup")
        _sync(draft)
        belongs_as(draft, store if store.exists() else store.parent)
        with _alone(store) as there:
            if first is not None:
                first()
            if there:
                aside.hardlink_to(store)
            for end in _BESIDE:  # of a file that is gone or damaged: the next must not read it
                with suppress(FileNotFoundError):
                    _beside(store, end).rename(_beside(aside, end))
            if there:
                draft.replace(store)
            else:
                _named(draft, store)
            _sync(store.parent)
        return there


def belongs_as(path: Path, like: Path) -> None:
    """Give it to the owner of another, if we may: root restores what a server will use."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _may_become(to: Path, store: Path, *, force: bool) -> None:
    """Raises ``WrongStore`` unless a copy of the store may have this name."""
    if to.absolute().parent.resolve() / to.name in {
        store.resolve(),
        *(_beside(store.resolve(), end) for end in _BESIDE),
    }:
        raise WrongStore(f"{to} is the store itself: name another file")
    if not os.path.lexists(to):
        return
    if not force:
        raise WrongStore(f"{to} is there already: name another file, or say --force")
    if not to.is_file():
        raise WrongStore(f"{to} is no file: name one in it")
    try:
        with closing(_reading(to)) as db:
            _label(db, to)
    except (WrongStore, sqlite3.Error):
        raise WrongStore(f"{to} is no backup, so it is not overwritten") from None


@contextmanager
def _alone(store: Path) -> Iterator[bool]:
    """Whether there is such a file; if so, nobody else has it open or can use it meanwhile."""
    if not store.exists():
        yield False
        return
    try:
        with closing(connect(store)) as db:  # what lies beside the file becomes part of it
            db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as problem:
        if busy(problem):
            raise _in_use(store) from None
        # What SQLite cannot read cannot be folded; but who has it open can still be known.
    import fcntl  # noqa: PLC0415 - not on every system there is

    with store.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_READERS)
        except OSError as problem:
            if problem.errno in (errno.EAGAIN, errno.EACCES):
                raise _in_use(store) from None
            raise
        yield True


def _in_use(store: Path) -> InUse:
    return InUse(f"a process has {store} open: SQLite holds a lock on it")


def _copy(db: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    """All of it as it was when the transaction of ``db`` began."""
    db.backup(copy, pages=_PAGES, progress=lambda *_: None)
    copy.execute("PRAGMA journal_mode = DELETE")


def _check(db: sqlite3.Connection, otherwise: str) -> None:
    found = db.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise WrongStore(f"{otherwise}: {found}")


def _label(db: sqlite3.Connection, path: Path) -> tuple[Label, str]:
    """Raises ``WrongStore`` if this is something else than a copy."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokenward_backup'").fetchone()
    if known is None:
        raise WrongStore(f"{path} is no backup: tokenward backup makes them")
    rows = db.execute(
        "SELECT made, version, configuration, key, digest FROM tokenward_backup"
    ).fetchall()
    if len(rows) != 1:
        raise WrongStore(f"{path} is damaged: it does not say what it is")
    made, version, configuration, key, digest = rows[0]
    return Label(made=made, version=version, configuration=configuration, key=key), digest


def _digest(db: sqlite3.Connection) -> str:
    """Of all that is kept: SQLite itself would not notice that a byte of a value has changed."""
    tables = db.execute(
        "SELECT name, sql FROM sqlite_master"
        " WHERE type = 'table' AND name <> 'tokenward_backup' ORDER BY name"
    ).fetchall()
    digest = sha256()
    for name, sql in tables:
        digest.update(repr((name, sql)).encode())
        for row in db.execute(f'SELECT * FROM "{name}" NOT INDEXED'):  # noqa: S608 (the file's own)
            digest.update(repr(row).encode())
    return digest.hexdigest()


@contextmanager
def _draft(of: Path) -> Iterator[Path]:
    """An empty file beside it, for its owner's eyes only, which is gone in the end."""
    draft = of.with_name(f"{of.name}.{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        yield draft
    finally:
        for leftover in (draft, *(_beside(draft, end) for end in _BESIDE)):
            leftover.unlink(missing_ok=True)


def _named(draft: Path, to: Path) -> None:
    """Give it its name, unless something has it by now (``FileExistsError``)."""
    try:
        to.hardlink_to(draft)
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(to):  # a disk that knows no second names: almost as good
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(to)) from None
        draft.rename(to)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _reading(path: Path) -> sqlite3.Connection:
    """A look at a copy; at nothing else, because looking at a store leaves files beside it."""
    with path.open("rb") as file:
        if file.read(20)[18:] == _LOGGED:
            raise WrongStore(f"{path} is no backup: tokenward backup makes them")
    return sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, isolation_level=None)


def _sync(path: Path) -> None:
    """Wait until the disk has it; of a folder, the names in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
