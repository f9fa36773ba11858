"""The audit trail: every event, in order, in batches, and none is ever lost."""

import asyncio
import json
import stat

import pytest

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
