"""The audit trail: every event, in order, in batches, and none is ever lost."""

import asyncio
import errno
import json
import os
import stat
import threading
import time

import pytest

from tests.servers import until
from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server import trail as trails
from tokenward.server.trail import Trail


async def test_every_event_is_written_in_order(tmp_path):
    trail = Trail(str(tmp_path / "audit.jsonl"))
    await trail.open()
    await asyncio.gather(*(trail.record({"n": number}) for number in range(500)))
    await trail.close()

    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(500))
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600


async def test_events_are_on_disk_soon_after(tmp_path):
    trail = Trail(str(tmp_path / "audit.jsonl"))
    await trail.open()
    await trail.record({"n": 1})
    for _ in range(500):
        if written := (tmp_path / "audit.jsonl").read_text():
            break
        await asyncio.sleep(0.01)
    assert written == '{"n":1}\n'
    await trail.close()


async def test_a_second_start_appends(tmp_path):
    for number in range(2):
        trail = Trail(str(tmp_path / "audit.jsonl"))
        await trail.open()
        await trail.record({"n": number})
        await trail.close()
    assert (tmp_path / "audit.jsonl").read_text() == '{"n":0}\n{"n":1}\n'


async def test_what_cannot_be_accounted_for_is_refused(monkeypatch):
    """A disk that is full: events wait, then requests are refused, and nothing is dropped."""
    monkeypatch.setattr(trails, "MOST_BYTES", 100)
    monkeypatch.setattr(trails, "PATIENCE_SECONDS", 0.2)
    trail = Trail("/dev/full")
    await trail.open()

    async def record_many():
        for number in range(100):
            await trail.record({"n": number})

    with pytest.raises(TemporarilyUnavailable) as refused:
        await record_many()
    assert "audit" in refused.value.detail
    assert "audit" not in refused.value.description
    await trail.close()


async def test_when_there_is_room_again_those_who_waited_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(trails, "MOST_BYTES", 50)
    trail = Trail(str(tmp_path / "audit.jsonl"))
    await trail.open()
    await asyncio.gather(*(trail.record({"n": number}) for number in range(100)))
    await trail.close()
    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == 100


# ── before ──


async def test_before_an_event_is_on_the_disk_when_it_has_been_recorded(tmp_path):
    trail = Trail(str(tmp_path / "audit.jsonl"), before=True)
    await trail.open()
    await trail.record({"n": 1})
    assert (tmp_path / "audit.jsonl").read_text() == '{"n":1}\n'
    await trail.close()


async def test_before_those_who_come_in_the_meantime_share_one_fsync(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def counted(file):
        time.sleep(0.02)  # a disk, so that the others come in the meantime
        synced.append(file)
        fsync(file)

    trail = Trail(str(tmp_path / "audit.jsonl"), before=True)
    await trail.open()
    monkeypatch.setattr(os, "fsync", counted)
    await asyncio.gather(*(trail.record({"n": number}) for number in range(500)))
    assert len(synced) <= 3
    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == 500
    await trail.close()


async def test_before_one_who_leaves_takes_nobody_along(tmp_path):
    trail = Trail(str(tmp_path / "audit.jsonl"), before=True)
    await trail.open()
    many = [asyncio.create_task(trail.record({"n": number})) for number in range(10)]
    await asyncio.sleep(0)
    many[3].cancel()
    ended = await asyncio.gather(*many, return_exceptions=True)
    assert [it for it in ended if it is not None] == [ended[3]]
    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == 10
    await trail.close()


class Disk:
    """A file system with room for so many bytes, and ``os.write`` as it is when it is full."""

    def __init__(self, monkeypatch, room):
        self.room = room
        self.write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, file, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(file, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", range(0, 40, 3))
async def test_before_a_full_disk_refuses_and_leaves_no_torn_line(tmp_path, monkeypatch, room):
    trail = Trail(str(tmp_path / "audit.jsonl"), before=True)
    await trail.open()
    disk = Disk(monkeypatch, room)
    ended = await asyncio.gather(
        *(trail.record({"first": n}) for n in range(3)),
        *(trail.record({"second": n}) for n in range(3)),
        return_exceptions=True,
    )
    assert {type(it) for it in ended} == {TemporarilyUnavailable}
    with pytest.raises(TemporarilyUnavailable):
        await trail.ping()
    disk.room = 1_000_000
    await trail.record({"n": "after"})
    await trail.ping()
    await trail.close()
    lines = [json.loads(it) for it in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert lines[-1] == {"n": "after"}
    (told,) = (it for it in lines if it.get("event") == "audit")
    assert (told["outcome"], told["refused"]) == ("interrupted", 6)


async def test_before_a_disk_that_hangs_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(trails, "PATIENCE_SECONDS", 0.05)
    trail = Trail(str(tmp_path / "audit.jsonl"), before=True)
    await trail.open()
    go_on = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: go_on.wait(10))
    with pytest.raises(TemporarilyUnavailable):
        await trail.record({"n": 1})
    go_on.set()
    await trail.close()


async def test_before_what_cannot_be_synced_is_no_place_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="Invalid argument"):
        await Trail(str(tmp_path / "pipe"), before=True).open()
    os.close(reader)


# ── logrotate ──


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("created", [True, False])
async def test_a_file_that_was_moved_is_followed_by_a_new_one(tmp_path, before, created):
    path = tmp_path / "audit.jsonl"
    trail = Trail(str(path), before=before)
    await trail.open()
    await trail.record({"n": 1})
    await until(path.read_text)
    path.rename(tmp_path / "audit.jsonl.1")
    if created:
        path.touch(0o600)
    await trail.record({"n": 2})
    await trail.close()
    assert (tmp_path / "audit.jsonl.1").read_text() == '{"n":1}\n'
    assert path.read_text() == '{"n":2}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_where_no_new_file_can_be_made_the_moved_one_goes_on(tmp_path, caplog):
    path = tmp_path / "audit.jsonl"
    trail = Trail(str(path), before=True)
    await trail.open()
    path.rename(tmp_path / "audit.jsonl.1")
    path.mkdir()
    await trail.record({"n": 1})
    await trail.close()
    assert (tmp_path / "audit.jsonl.1").read_text() == '{"n":1}\n'
    assert "goes on there" in caplog.text


async def test_a_file_that_was_deleted_for_good_refuses(tmp_path):
    path = tmp_path / "audit.jsonl"
    trail = Trail(str(path), before=True)
    await trail.open()
    path.unlink()
    path.mkdir()
    with pytest.raises(TemporarilyUnavailable):
        await trail.record({"n": 1})
    await trail.close()


async def one_more(path):
    trail = Trail(str(path))
    await trail.open()
    await trail.record({"n": 1})
    await trail.close()


@pytest.mark.parametrize("half", ["{", '{"n":0', '{"n":0}'])
async def test_half_a_line_of_a_process_that_was_killed_stays_by_itself(tmp_path, half):
    path = tmp_path / "audit.jsonl"
    path.write_text(f'{{"n":-1}}\n{half}')
    await one_more(path)
    assert path.read_text() == f'{{"n":-1}}\n{half}\n{{"n":1}}\n'


async def test_so_does_half_a_line_of_another_worker_while_we_are_there(tmp_path):
    path = tmp_path / "audit.jsonl"
    trail = Trail(str(path), before=True)
    await trail.open()
    await trail.record({"n": 0})
    with path.open("a") as other:
        other.write('{"half')
    await trail.record({"n": 1})
    await trail.record({"n": 2})
    await trail.close()
    assert path.read_text() == '{"n":0}\n{"half\n{"n":1}\n{"n":2}\n'


async def test_a_line_that_another_worker_is_writing_is_not_cut_in_two(tmp_path, monkeypatch):
    monkeypatch.setattr(trails, "SETTLED_SECONDS", 0.3)
    path = tmp_path / "audit.jsonl"
    path.write_text('{"n":')

    def finish():
        with path.open("a") as other:
            other.write("0}\n")

    threading.Timer(0.1, finish).start()
    await one_more(path)
    assert path.read_text() == '{"n":0}\n{"n":1}\n'


async def test_a_trail_that_is_ours_to_write_and_not_to_read_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "audit.jsonl"
    path.write_text("{")
    opened = os.open

    def forbidden(name, flags, *more, **others):
        if not flags & os.O_WRONLY and str(name) == str(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(name, flags, *more, **others)

    monkeypatch.setattr(os, "open", forbidden)
    await one_more(path)
    assert path.read_bytes() == b'{{"n":1}\n'
