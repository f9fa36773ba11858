"""What is special about a SQLite file: who waits for whom, and what may go wrong."""

import asyncio
import fcntl
import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from tokenward.server.stores import First, StoreUnavailable, WrongStore
from tokenward.server.stores.sqlite import SQLite
from tokenward.server.stores.sqlite.file import connect, create, prepare

PATIENCE = 0.3


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
async def store(path, clock):
    store = SQLite(path, clock, patience=PATIENCE)
    await store.open()
    yield store
    await store.close()


@contextmanager
def locked(path):
    """Another process, for SQLite: it has the file to itself for a while."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def mode(path):
    return oct(path.stat().st_mode & 0o777)


# ── the file ──


async def test_the_file_and_its_folders_are_the_owners_alone(tmp_path, clock):
    path = tmp_path / "a" / "b" / "store.db"
    old = os.umask(0)
    try:
        store = SQLite(path, clock)
        await store.open()
        await store.shelf.put("key", b"value", until=None)
        assert {mode(file) for file in path.parent.iterdir()} == {"0o600"}
        assert len(list(path.parent.iterdir())) == 3  # the file, its log, and the log's index
        assert mode(path.parent) == mode(path.parent.parent) == "0o700"
    finally:
        os.umask(old)
        await store.close()


async def test_commits_reach_the_disk_before_they_are_spoken_of(store):
    def settings(db, _):
        return [
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]

    assert await store._commits.write(settings) == ["wal", 2]  # 2: FULL


async def test_everything_is_there_after_a_restart(path, clock):
    store = SQLite(path, clock)
    await store.open()
    await store.shelf.put("key", b"value", until=None)
    await store.shelf.put("taken", b"value", until=None)
    await store.shelf.take("taken")
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.rotate("one", "two", b"2", b"answer", until=None, grace=0)
    await store.chains.begin("revoked", "uno", b"1", until=None)
    await store.chains.revoke("revoked")
    number = await store.leases.hold("lease", until=clock.now + 10)
    await store.close()

    store = SQLite(path, clock)
    await store.open()
    assert await store.shelf.keys("") == ["key"]
    assert [await store.chains.look(key) for key in ("one", "two", "uno")] == [None, b"2", None]
    assert await store.leases.hold("lease", until=clock.now + 10) is None
    assert await store.leases.release("lease", number)
    await store.close()


async def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(path, clock):
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(WrongStore, match=r"newer tokenward \(its tables are of version 99,"):
        await SQLite(path, clock).open()
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path, clock):
    path.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(WrongStore, match="is not a SQLite database"):
        await SQLite(path, clock).open()
    assert path.read_bytes() == b"dear diary, " * 1000


async def test_a_damaged_file_is_unavailable(store, path, clock):
    await store.shelf.put("key", b"value", until=None)
    await store.close()
    damaged = path.read_bytes()
    path.write_bytes(damaged[:100] + b"\xff" * (len(damaged) - 100))
    with pytest.raises(StoreUnavailable, match="malformed"):
        await SQLite(path, clock).open()


@pytest.mark.parametrize("place", ["a folder", "beneath a file"])
async def test_where_no_file_can_be_the_store_is_unavailable(tmp_path, clock, place):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "a folder" if place == "a folder" else tmp_path / "file" / "store.db"
    with pytest.raises(StoreUnavailable, match=str(path)):
        await SQLite(path, clock).open()


async def test_other_tables_in_the_same_file_are_none_of_our_business(path, clock):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE users (name TEXT)")
    store = SQLite(path, clock)
    await store.open()
    await store.shelf.put("key", b"value", until=None)
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM users").fetchone() == (0,)


async def test_two_stores_may_share_a_file(store, path, clock):
    other = SQLite(path, clock)
    await other.open()
    await store.shelf.put("key", b"value", until=None)
    assert await other.shelf.take("key") == b"value"
    assert await store.shelf.get("key") is None
    assert await other.leases.hold("lease", until=clock.now + 1) is not None
    assert await store.leases.hold("lease", until=clock.now + 1) is None
    await other.close()
    await store.shelf.put("key", b"still here", until=None)
    assert await store.shelf.get("key") == b"still here"


@pytest.mark.parametrize("fate", ["deleted", "replaced"])
async def test_nothing_is_promised_to_a_file_that_is_gone(store, path, tmp_path, fate):
    await store.shelf.put("key", b"value", until=None)
    away = path.rename(tmp_path / "elsewhere.db")
    if fate == "replaced":
        path.write_bytes(b"")
    for attempt in (store.ping(), store.shelf.put("lost", b"", until=None)):
        with pytest.raises(StoreUnavailable, match=r"replaced|No such file"):
            await attempt
    away.rename(path)
    await store.ping()
    await store.shelf.put("other", b"", until=None)
    assert await store.shelf.keys("") == ["key", "other"]


# ── opening and closing ──


async def test_a_store_that_waited_for_a_restore_has_what_was_restored(path, tmp_path, clock):
    for place, value in ((path, b"old"), (tmp_path / "restored.db", b"restored")):
        store = SQLite(place, clock)
        await store.open()
        await store.shelf.put("key", value, until=None)
        await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as restoring:
        restoring.execute("PRAGMA locking_mode = EXCLUSIVE")
        restoring.execute("BEGIN EXCLUSIVE")
        store = SQLite(path, clock)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(PATIENCE / 3)
        assert not opening.done()
        (tmp_path / "restored.db").replace(path)
    await opening
    assert await store.shelf.get("key") == b"restored"
    await store.shelf.put("key", b"new", until=None)
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT value FROM shelf").fetchall() == [(b"new",)]


async def test_a_store_that_is_not_open_is_unavailable(path, clock):
    store = SQLite(path, clock)

    async def refuses():
        for attempt in (store.ping(), store.shelf.get("key"), store.shelf.take("key")):
            with pytest.raises(StoreUnavailable, match="is not open"):
                await attempt

    await refuses()
    await store.open()
    await store.ping()
    await store.close()
    await refuses()


async def test_a_store_may_be_closed_twice_and_opened_again_but_not_opened_twice(store):
    with pytest.raises(RuntimeError, match="is open"):
        await store.open()
    await store.shelf.put("key", b"value", until=None)
    await store.close()
    await store.close()
    await store.open()
    assert await store.shelf.get("key") == b"value"


async def test_closing_finishes_what_was_asked_for(store, path, clock):
    asked = [
        asyncio.ensure_future(store.shelf.put(f"key {n}", b"", until=None)) for n in range(700)
    ]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*asked)
    await store.open()
    assert len(await store.shelf.keys("")) == 700


async def test_a_store_that_could_not_be_opened_may_be_opened_later(store, path, clock):
    await store.close()
    other = SQLite(path, clock, patience=0.05)
    path.rename(path.with_suffix(".away"))
    with locked(path), pytest.raises(StoreUnavailable, match="locked"):
        await other.open()
    path.unlink()
    path.with_suffix(".away").rename(path)
    await other.open()
    await other.ping()
    await other.close()


# ── committed together ──


async def test_whoever_waits_is_committed_together(store, path):
    before = store.counts
    waiting = []
    with locked(path):
        for n in range(100):
            waiting.append(asyncio.ensure_future(store.shelf.put(f"key {n}", b"", until=None)))
            await asyncio.sleep(0.0005)
        assert not any(put.done() for put in waiting)
    await asyncio.gather(*waiting)
    assert store.counts.commits == before.commits + 1
    assert store.counts.writes == before.writes + 100


async def test_a_commit_in_which_nothing_changed_is_none(store):
    before = store.counts
    assert await store.shelf.take("nothing") is None
    assert store.counts.commits == before.commits


async def test_whoever_spoils_a_group_spoils_it_for_himself_only(store, path):
    await store.shelf.put("code", b"grant", until=None)
    await store.chains.begin("family", "one", b"1", until=None)
    with locked(path):
        waiting = [
            asyncio.ensure_future(work)
            for work in (
                store.shelf.put("before", b"", until=None),
                store.shelf.put("no text \udc80", b"", until=None),
                store.shelf.take("code"),
                store.chains.begin("family", "one", b"again", until=None),
                store.chains.rotate("one", "two", b"2", b"", until=None, grace=0),
                store.shelf.put("no time", b"", until=float("nan")),
                store.shelf.put("no bytes", [], until=None),
                store.shelf.add("after", b"", until=None),
            )
        ]
        await asyncio.sleep(0.05)
    heard = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(h) if isinstance(h, Exception) else h for h in heard] == [
        None,
        UnicodeEncodeError,
        b"grant",
        ValueError,
        First(),
        sqlite3.IntegrityError,
        sqlite3.ProgrammingError,
        True,
    ]
    assert await store.shelf.keys("") == ["after", "before"]
    assert await store.chains.look("two") == b"2"


async def test_a_work_that_fails_halfway_leaves_nothing_behind(store, path):
    await store.chains.begin("family", "one", b"1", until=None)
    await store.chains.begin("other", "uno", b"1", until=None)
    with locked(path):
        waiting = [
            asyncio.ensure_future(store.chains.rotate("one", new, b"2", b"", until=None, grace=0))
            for new in ("uno", "no text \udc80")
        ]
        await asyncio.sleep(0.05)
    heard = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(h) for h in heard] == [ValueError, UnicodeEncodeError]
    assert await store.chains.look("one") == b"1"


async def test_a_read_that_finds_the_file_busy_waits_in_line(store):
    await store.shelf.put("key", b"value", until=None)
    seen = []

    def work(db, _):
        seen.append(db)
        if len(seen) == 1:
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
            raise busy
        return db.execute("SELECT value FROM shelf").fetchone()[0]

    assert await store._commits.read(work) == b"value"
    assert len(set(seen)) == 2


# ── callers who leave ──


async def test_what_is_cancelled_before_it_began_never_happens(store, path):
    with locked(path):
        leaving = asyncio.ensure_future(store.shelf.put("left", b"", until=None))
        staying = asyncio.ensure_future(store.shelf.put("stayed", b"", until=None))
        await asyncio.sleep(0.02)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    await staying
    assert await store.shelf.keys("") == ["stayed"]


async def test_what_is_cancelled_at_any_moment_has_happened_wholly_or_not_at_all(store):
    for n in range(60):
        await store.chains.begin("family", f"old {n}", b"old", until=None)
        leaving = asyncio.ensure_future(
            store.chains.rotate(f"old {n}", f"new {n}", b"new", b"", until=None, grace=0)
        )
        await asyncio.sleep(n * 0.00002)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await store.ping()  # whatever was under way is over
        old, new = [await store.chains.look(f"{key} {n}") for key in ("old", "new")]
        assert (old, new) in {(b"old", None), (None, b"new")}
        assert leaving.cancelled() or new == b"new"


# ── locked ──


async def test_a_write_waits_while_another_process_has_the_file(store, path):
    with locked(path):
        put = asyncio.ensure_future(store.shelf.put("key", b"value", until=None))
        await asyncio.sleep(PATIENCE / 3)
        assert not put.done()
    await put
    assert await store.shelf.get("key") == b"value"


async def test_who_waits_too_long_hears_so_and_the_store_recovers(store, path):
    await store.shelf.put("code", b"grant", until=None)
    loop = asyncio.get_running_loop()
    with locked(path):
        started = loop.time()
        for attempt in (store.shelf.take("code"), store.ping()):
            with pytest.raises(StoreUnavailable, match="database is locked"):
                await attempt
        assert loop.time() - started >= 2 * PATIENCE
        assert await store.shelf.get("code") == b"grant"  # reading needs nobody's leave
    await store.ping()
    assert await store.shelf.take("code") == b"grant"


async def test_each_waits_for_its_own_time(store, path):
    with locked(path):
        early = asyncio.ensure_future(store.shelf.put("early", b"", until=None))
        await asyncio.sleep(PATIENCE * 2 / 3)
        late = asyncio.ensure_future(store.shelf.put("late", b"", until=None))
        with pytest.raises(StoreUnavailable):
            await early
        assert not late.done()
    await late
    assert await store.shelf.keys("") == ["late"]


async def test_closing_a_locked_store_takes_no_longer_than_its_patience(store, path):
    with locked(path):
        put = asyncio.ensure_future(store.shelf.put("key", b"", until=None))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreUnavailable):
            await put


# ── full ──


async def limit_pages(store, number):
    await store._commits.write(lambda db, _: db.execute(f"PRAGMA max_page_count = {number}"))


async def test_where_the_disk_is_full_nothing_is_promised_and_the_store_recovers(store):
    await store.shelf.put("code", b"grant", until=None)
    await store.chains.begin("family", "one", b"1", until=None)
    await limit_pages(store, 20)
    for n in range(100):
        last = asyncio.ensure_future(store.shelf.put(f"key {n:02}", b"x" * 2000, until=None))
        await asyncio.wait([last])
        if last.exception() is not None:
            break
    with pytest.raises(StoreUnavailable, match="full"):
        await last
    assert 0 < n < 99
    assert await store.shelf.keys("key ") == [f"key {kept:02}" for kept in range(n)]
    with pytest.raises(StoreUnavailable, match="full"):
        await store.chains.rotate("one", "two", b"x" * 8000, b"", until=None, grace=0)
    assert await store.chains.look("one") == b"1"
    assert await store.chains.look("two") is None
    await limit_pages(store, 100_000)
    await store.shelf.put("more", b"x" * 8000, until=None)
    assert await store.chains.rotate("one", "two", b"2", b"", until=None, grace=0) == First()


async def test_who_needs_no_room_is_served_though_the_disk_is_full(store, path):
    await store.shelf.put("code", b"grant", until=None)
    await limit_pages(store, 1)
    with locked(path):
        big = asyncio.ensure_future(store.shelf.put("big", b"x" * 100_000, until=None))
        take = asyncio.ensure_future(store.shelf.take("code"))
        await asyncio.sleep(0.02)
    assert await take == b"grant"
    with pytest.raises(StoreUnavailable, match="full"):
        await big


async def test_where_the_commit_itself_fails_all_of_its_group_hear_so(store, path):
    await store.shelf.put("code", b"grant", until=None)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    try:
        with locked(path):
            waiting = [
                asyncio.ensure_future(store.shelf.take("code")),
                asyncio.ensure_future(store.shelf.put("key", b"x" * 9000, until=None)),
            ]
            await asyncio.sleep(0.02)
        heard = await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert [type(h) for h in heard] == [StoreUnavailable] * 2
    assert heard[0].args == heard[1].args
    assert await store.shelf.keys("") == ["code"]
    assert await store.shelf.take("code") == b"grant"
    await store.shelf.put("key", b"x" * 9000, until=None)


# ── what the operator reads, and what keeps it true ──


async def test_trouble_is_told_with_its_file_and_its_cause(store, path):
    def fails(db, _):
        raise sqlite3.OperationalError("disk I/O error")

    for attempt in (store._commits.read(fails), store._commits.write(fails)):
        with pytest.raises(StoreUnavailable) as told:
            await attempt
        assert told.value.detail == f"{path}: disk I/O error"
        assert isinstance(told.value.__cause__, sqlite3.OperationalError)


async def test_a_failed_commit_is_told_with_its_cause(store, path, monkeypatch):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    try:
        with pytest.raises(StoreUnavailable) as told:
            await store.shelf.put("key", b"x" * 9000, until=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert told.value.detail.startswith(f"{path}: ")
    assert "None" not in told.value.detail


async def test_it_is_not_ready_while_nothing_can_be_written(store, path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE shelf RENAME TO away")
    with pytest.raises(StoreUnavailable, match="no such table: shelf"):
        await store.ping()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE away RENAME TO shelf")
    await store.ping()
    assert await store.shelf.keys("") == []


async def test_where_nothing_can_be_cleared_away_the_rest_goes_on(store, path, clock):
    await store.shelf.put("dead", b"", until=clock.now + 1)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TRIGGER never BEFORE DELETE ON shelf BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
    clock.now += 1
    for start in range(0, 600, 100):
        puts = (store.shelf.put(f"key {n}", b"", until=None) for n in range(start, start + 100))
        await asyncio.gather(*puts)
    assert len(await store.shelf.keys("")) == 600


async def test_who_writes_is_named_after_the_file_and_keeps_no_process_alive(store, path):
    [writer] = [thread for thread in threading.enumerate() if thread.name == path.name]
    assert writer.daemon
    await store.close()
    writer.join(10)
    assert not writer.is_alive()


async def test_a_store_that_is_open_says_so(store):
    with pytest.raises(RuntimeError, match=r"^this store is open$"):
        await store.open()


async def test_a_file_that_was_replaced_is_said_to_be_that(store, path, tmp_path):
    path.rename(tmp_path / "elsewhere.db")
    path.write_bytes(b"")
    with pytest.raises(StoreUnavailable) as told:
        await store.ping()
    assert told.value.detail == f"{path}: this file has been replaced by another"


def test_a_connection_makes_no_file_waits_for_nobody_and_begins_nothing(path):
    with pytest.raises(sqlite3.OperationalError):
        connect(path).execute("SELECT 1 FROM sqlite_master")
    assert not path.exists()
    create(path)
    with closing(connect(path)) as db:
        prepare(db, path)
        db.execute("INSERT INTO shelf (key, value, until) VALUES ('a', x'00', 0)")
        assert not db.in_transaction
        with locked(path):
            started = time.monotonic()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                db.execute("BEGIN IMMEDIATE")
            assert time.monotonic() - started < 3  # left to itself, SQLite waits for five


def test_a_file_that_is_there_is_not_opened_which_would_give_up_the_locks_on_it(path):
    create(path)
    with path.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        create(path)
        program = (
            "import fcntl, sys\n"
            "with open(sys.argv[1], 'r+b') as file:\n"
            "    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, check=False, text=True
        )
    assert "BlockingIOError" in done.stderr


def test_where_there_is_no_log_there_is_no_store(path):
    with closing(sqlite3.connect(":memory:")) as db, pytest.raises(WrongStore) as refusal:
        prepare(db, path)
    assert str(refusal.value) == (
        f"{path} is where SQLite cannot keep a write-ahead log; use a local disk"
    )


def test_a_file_that_cannot_be_ours_is_named(path):
    path.write_bytes(b"dear diary, " * 1000)
    with closing(connect(path)) as db, pytest.raises(WrongStore) as refusal:
        prepare(db, path)
    assert str(refusal.value) == f"{path} is not a SQLite database"
    path.unlink()
    create(path)
    with closing(connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
        with pytest.raises(WrongStore) as refusal:
            prepare(db, path)
    assert str(refusal.value) == (
        f"{path} was written by a newer tokenward (its tables are of version 2,"
        " this one knows 1): use that one, or another file"
    )
