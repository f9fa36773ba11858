"""A copy of the SQLite file, made while others write to it, and put back."""

import asyncio
import errno
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers import Hands
from tokenward.server.stores import WrongStore, open_store
from tokenward.server.stores.sqlite import copies
from tokenward.server.stores.sqlite.copies import InUse, Label, opened, put_back, take

LABEL = Label(made=1_700_000_000.5, version="1.2.3", configuration="ab" * 32, key="the-key")


def kept(path, **values):
    """A store in which this is on the shelf, as its server left it."""
    asyncio.run(keeping(path, values))
    return path


async def keeping(path, values):
    store = open_store(f"sqlite://{path}", Hands(1_000.0))
    await store.open()
    for key, value in values.items():
        await store.shelf.put(key, value, until=None)
    await store.close()


async def shelf(path, *keys):
    """What is on the shelf of a store now."""
    store = open_store(f"sqlite://{path}", Hands(1_000.0))
    await store.open()
    found = {key: await store.shelf.get(key) for key in keys}
    await store.close()
    return found


def written(path, statement, *values):
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement, values)
        db.commit()


def read(path, question):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(question).fetchall()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def store(tmp_path):
    return kept(tmp_path / "kept.db", one=b"1", two=b"2", other=b"3")


@pytest.fixture
def copy(store, tmp_path):
    take(store, tmp_path / "a.backup", LABEL)
    return tmp_path / "a.backup"


# ── taken ────────────────────────────────────────────────────────────────────────────────────────


def test_a_copy_says_what_it_is_and_has_what_was_there(copy):
    with opened(copy) as backup:
        assert backup.label == LABEL
        assert backup.shelf("t") == [("two", b"2")]
        assert sorted(backup.shelf("o")) == [("one", b"1"), ("other", b"3")]
        assert backup.shelf("one%") == []
        assert len(backup.shelf("")) == 3
    assert "the-key" not in repr(LABEL)
    assert "Connection" not in repr(backup)


def test_it_is_one_file_for_its_owner_alone_and_its_size_is_told(store, tmp_path):
    size = take(store, tmp_path / "b.backup", LABEL)
    assert size == (tmp_path / "b.backup").stat().st_size > 4096
    assert stat.S_IMODE((tmp_path / "b.backup").stat().st_mode) == 0o600
    assert names(tmp_path) == ["b.backup", "kept.db"]
    assert (tmp_path / "b.backup").read_bytes()[18:20] == b"\x01\x01", "it needs files beside it"


def test_who_writes_meanwhile_is_not_in_it_and_is_not_kept_waiting(store, tmp_path, monkeypatch):
    copied = copies._copy

    def slowly(db, copy):
        written(store, "INSERT INTO shelf SELECT 'late', value, until FROM shelf LIMIT 1")
        copied(db, copy)

    monkeypatch.setattr(copies, "_copy", slowly)
    take(store, tmp_path / "b.backup", LABEL)
    with opened(tmp_path / "b.backup") as backup:
        assert backup.shelf("late") == []
    assert read(store, "SELECT count(*) FROM shelf WHERE key = 'late'") == [(1,)]


def test_an_older_copy_is_replaced_by_force_only(store, copy):
    before = copy.read_bytes()
    with pytest.raises(WrongStore, match=r"is there already: name another file, or say --force"):
        take(store, copy, LABEL)
    assert copy.read_bytes() == before
    take(store, copy, Label(made=2.0, version="2", configuration=""), force=True)
    with opened(copy) as backup:
        assert backup.label == Label(made=2.0, version="2", configuration="", key="")


@pytest.mark.parametrize("name", ["kept.db", "kept.db-wal", "kept.db-shm", "kept.db-journal"])
@pytest.mark.parametrize("force", [True, False])
def test_the_store_is_no_name_for_its_copy(store, tmp_path, name, force):
    before = store.read_bytes()
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    for to in (tmp_path / name, tmp_path / "elsewhere" / name):
        with pytest.raises(WrongStore, match="is the store itself: name another file"):
            take(store, to, LABEL, force=force)
    assert store.read_bytes() == before


def test_what_is_no_copy_is_not_overwritten(store, tmp_path):
    (tmp_path / "text").write_text("somebody's " * 100)
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    written(tmp_path / "theirs", "CREATE TABLE theirs (x)")
    before = {name: (tmp_path / name).read_bytes() for name in ("text", "theirs")}
    for name in ("text", "theirs"):
        with pytest.raises(WrongStore, match="is no backup, so it is not overwritten"):
            take(store, tmp_path / name, LABEL, force=True)
    for name in ("folder", "dangling"):
        with pytest.raises(WrongStore, match="is no file: name one in it"):
            take(store, tmp_path / name, LABEL, force=True)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_there_is_nothing_to_copy_before_a_server_has_begun(tmp_path):
    store, to = tmp_path / "kept.db", tmp_path / "a.backup"
    with pytest.raises(WrongStore, match=r"nothing to copy yet: .*kept.db does not exist"):
        take(store, to, LABEL)
    store.touch()
    with pytest.raises(WrongStore, match=r"nothing to copy yet: .*kept.db is empty"):
        take(store, to, LABEL)
    assert names(tmp_path) == ["kept.db"]


def test_a_damaged_store_is_not_copied(store, tmp_path):
    page = 2
    data = bytearray(store.read_bytes())
    data[4096 * page : 4096 * (page + 1)] = b"\xa5" * 4096
    store.write_bytes(data)
    with pytest.raises((WrongStore, sqlite3.DatabaseError), match=r"damaged|malformed"):
        take(store, tmp_path / "a.backup", LABEL)
    assert "a.backup" not in names(tmp_path)
    assert len(names(tmp_path)) <= 3, "a draft is left"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_on_a_disk_without_second_names_it_is_renamed(store, tmp_path, monkeypatch, number):
    def refused(_self, _target):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    take(store, tmp_path / "a.backup", LABEL)
    with pytest.raises(FileExistsError):
        copies._named(tmp_path / "kept.db", tmp_path / "a.backup")
    assert names(tmp_path) == ["a.backup", "kept.db"]


def test_a_disk_that_fails_otherwise_is_an_error(store, tmp_path, monkeypatch):
    def full(_self, _target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "hardlink_to", full)
    with pytest.raises(OSError, match="No space left"):
        take(store, tmp_path / "a.backup", LABEL)
    assert names(tmp_path) == ["kept.db"]


def test_it_has_its_name_only_when_the_disk_has_it(store, tmp_path, monkeypatch):
    to, seen = tmp_path / "a.backup", []
    fsync = os.fsync

    def noted(descriptor):
        where = Path(f"/proc/self/fd/{descriptor}").readlink()
        seen.append((where == tmp_path, to.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    take(store, to, LABEL)
    assert seen == [(False, False), (True, True)]


# ── opened ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE shelf SET value = x'ff' WHERE key = 'one'", "it is not what it was"),
        ("DELETE FROM shelf WHERE key = 'two'", "it is not what it was"),
        ("CREATE TABLE more (x)", "it is not what it was"),
        ("PRAGMA user_version = 0", "it is not what it was"),
        ("PRAGMA user_version = 99", "99"),
        ("UPDATE tokenward_backup SET digest = ''", "it is not what it was"),
        ("DELETE FROM tokenward_backup", "does not say what it is"),
        (
            "INSERT INTO tokenward_backup SELECT * FROM tokenward_backup",
            "does not say what it is",
        ),
        ("DROP TABLE tokenward_backup", "is no backup: tokenward backup makes them"),
    ],
)
def test_a_copy_that_was_changed_is_not_opened(copy, statement, says):
    written(copy, statement)
    with pytest.raises(WrongStore, match=says), opened(copy):
        pass


@pytest.mark.parametrize("what", ["nothing", "a folder", "text", "a store in use", "half"])
def test_something_else_is_not_opened_and_nothing_is_left_beside_it(tmp_path, store, copy, what):
    match what:
        case "nothing":
            copy.unlink()
        case "a folder":
            copy.unlink()
            copy.mkdir()
        case "text":
            copy.write_text("not a database " * 500)
        case "a store in use":
            copy.write_bytes(store.read_bytes())
        case "half":
            copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    before = names(tmp_path)
    says = {"nothing": "no file", "a folder": "no file", "a store in use": "is no backup"}
    said = says.get(what, r"cannot be read|is not|damaged")
    with pytest.raises(WrongStore, match=said), opened(copy):
        pass
    assert names(tmp_path) == before


def test_nobody_changes_it_while_it_is_open(copy):
    with opened(copy) as backup, closing(sqlite3.connect(copy, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            backup.db.execute("DELETE FROM shelf")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.executescript("DELETE FROM shelf")


# ── put back ─────────────────────────────────────────────────────────────────────────────────────


async def test_it_becomes_the_store_and_the_former_one_is_aside(store, copy, tmp_path):
    written(store, "DELETE FROM shelf WHERE key = 'one'")
    aside, before, done = tmp_path / "kept.db.aside", [], []
    with opened(copy) as backup:
        there = put_back(
            backup,
            store,
            aside,
            first=lambda: (before.extend(names(tmp_path)), done.append(aside.exists())),
        )
    assert there is True
    assert done == [False], "first comes first"
    assert read(aside, "SELECT count(*) FROM shelf WHERE key = 'one'") == [(0,)]
    assert await shelf(store, "one", "two", "other") == {"one": b"1", "two": b"2", "other": b"3"}
    assert not read(store, "SELECT 1 FROM sqlite_master WHERE name = 'tokenward_backup'")
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert {"a.backup", "kept.db", "kept.db.aside"} >= {
        name for name in names(tmp_path) if not name.endswith(("-wal", "-shm"))
    }


async def test_where_there_was_none_there_is_one_now(copy, tmp_path):
    store = tmp_path / "new" / "deep" / "kept.db"
    with opened(copy) as backup:
        assert put_back(backup, store, tmp_path / "aside") is False
    assert not (tmp_path / "aside").exists()
    assert await shelf(store, "two") == {"two": b"2"}


def test_the_key_that_came_with_it_is_nowhere_in_the_store(copy, store, tmp_path):
    assert b"the-key" in copy.read_bytes()
    with opened(copy) as backup:
        put_back(backup, store, tmp_path / "aside")
    assert b"the-key" not in store.read_bytes()


def test_what_lies_beside_a_store_that_is_gone_goes_aside_too(copy, tmp_path):
    store = tmp_path / "there" / "kept.db"
    store.parent.mkdir()
    for end in ("-wal", "-shm", "-journal"):
        (tmp_path / "there" / f"kept.db{end}").write_bytes(b"of another")
    with opened(copy) as backup:
        put_back(backup, store, store.with_name("aside"))
    assert names(store.parent) == ["aside-journal", "aside-shm", "aside-wal", "kept.db"]


def test_what_sqlite_cannot_read_is_replaced_too(copy, store, tmp_path):
    store.write_bytes(b"not a database " * 500)
    with opened(copy) as backup:
        assert put_back(backup, store, tmp_path / "aside") is True
    assert (tmp_path / "aside").read_bytes().startswith(b"not a database")
    assert read(store, "SELECT count(*) FROM shelf") == [(3,)]


USING = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode = WAL")
db.execute("SELECT count(*) FROM shelf").fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_store_that_somebody_uses_stays(copy, store, tmp_path, damaged):
    with subprocess.Popen(
        [sys.executable, "-c", USING, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout.readline() == b"ready\n"
        if damaged:
            with store.open("r+b") as file:
                file.write(b"x" * 16)
        before = store.read_bytes()
        done = []
        with opened(copy) as backup, pytest.raises(InUse, match=r"a process has .*kept.db open"):
            put_back(backup, store, tmp_path / "aside", first=lambda: done.append(1))
        assert store.read_bytes() == before
        assert done == []
        assert not (tmp_path / "aside").exists()


def test_if_what_comes_first_fails_nothing_has_happened(copy, store, tmp_path):
    before = read(store, "SELECT * FROM shelf")

    def fails():
        raise OSError("the key cannot be written")

    with opened(copy) as backup, pytest.raises(OSError, match="the key cannot be written"):
        put_back(backup, store, tmp_path / "aside", first=fails)
    assert read(store, "SELECT * FROM shelf") == before
    assert names(tmp_path) == ["a.backup", "kept.db"]


def test_a_name_that_is_taken_keeps_what_it_names(copy, store, tmp_path):
    before = read(store, "SELECT * FROM shelf")
    (tmp_path / "aside").write_text("somebody's")
    with opened(copy) as backup, pytest.raises(FileExistsError):
        put_back(backup, store, tmp_path / "aside")
    assert read(store, "SELECT * FROM shelf") == before
    assert (tmp_path / "aside").read_text() == "somebody's"


@pytest.mark.parametrize("somebody", [0, 4242])
def test_root_gives_it_to_whoever_had_it(copy, store, tmp_path, monkeypatch, somebody):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    monkeypatch.setattr(os, "chown", lambda path, *owner: given.append((Path(path).parent, *owner)))
    with opened(copy) as backup:
        put_back(backup, store, tmp_path / "aside")
    owner = store.stat()
    assert given == ([(tmp_path, owner.st_uid, owner.st_gid)] if somebody == 0 else [])
