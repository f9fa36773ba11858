"""Asking a server: what an answer is, what none is, at which rate, and what it costs."""

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager, suppress

import pytest

from bench.asking import Latencies, Pool, Wrong, closed, hang_up, never_finish, paced
from bench.processes import DidNotStart, Program, free_port, pinned
from tests.servers import until_now

EVERY_CORE = frozenset(os.sched_getaffinity(0))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def answering(*pieces, close=False):
    """A server that answers everything so, piece by piece; its port and what it was asked."""
    asked, serving = [], set()

    async def serve(reader, writer):
        serving.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if close:
                    break
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], asked
    server.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [(OK,), (OK[:10], OK[10:]), (OK[:-1], OK[-1:]), tuple(bytes([it]) for it in OK)],
    ids=["whole", "in the head", "in the body", "drop by drop"],
)
async def test_an_answer_is_whole_however_it_comes(pieces):
    async with answering(*pieces) as (port, asked):
        pool = Pool(port=port, size=2)
        assert [await pool.ask(ASK) for _ in range(3)] == [b"ok"] * 3
        pool.close()
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ((OK.replace(b"200 OK", b"500 No"),), "500 instead of 200"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",), "hung up"),
        ((), "hung up"),
    ],
)
async def test_anything_else_is_wrong(pieces, why):
    async with answering(*pieces, close=True) as (port, _):
        pool = Pool(port=port, size=1)
        with pytest.raises(Wrong, match=why):
            await pool.ask(ASK)
        pool.close()


async def test_nobody_there_is_wrong():
    with pytest.raises(Wrong, match="cannot connect"):
        await Pool(port=free_port(), size=1).ask(ASK)


async def test_a_server_that_closes_after_each_answer_is_connected_to_again():
    close = OK.replace(b"Content", b"Connection: close\r\nContent")
    async with answering(close, close=True) as (port, _):
        pool = Pool(port=port, size=1)
        assert [await pool.ask(ASK) for _ in range(3)] == [b"ok"] * 3
        pool.close()


async def test_a_rate_is_held_whatever_is_answered():
    waits = []

    async def ask(due):
        waits.append(time.monotonic() - due)
        await asyncio.sleep(0.2)

    until = time.monotonic() + 0.5
    asked = await paced(200, lambda: time.monotonic() > until, ask)
    assert 95 <= asked <= 101
    assert min(waits) >= 0


async def test_in_a_closed_loop_so_many_ask_at_a_time():
    at_a_time, most = 0, 0

    async def ask(_):
        nonlocal at_a_time, most
        at_a_time += 1
        most = max(most, at_a_time)
        await asyncio.sleep(0.001)
        at_a_time -= 1

    until = time.monotonic() + 0.1
    assert await closed(7, lambda: time.monotonic() > until, ask) > 7
    assert most == 7


def test_latencies_are_told_in_milliseconds():
    latencies = Latencies([it / 1_000 for it in range(1, 101)])
    assert [round(latencies.at(it)) for it in (0.5, 0.99, 1.0)] == [51, 100, 100]
    assert Latencies().at(0.5) == 0


async def test_half_a_request_is_given_up_by_the_server_or_it_is_wrong():
    async with answering(OK) as (port, asked):
        with pytest.raises(Wrong, match="waited for"):
            await never_finish(port, ASK[:10], 0.1)
    async with answering(OK, close=True) as (port, asked):
        assert await never_finish(port, ASK, 5) == OK
        await hang_up(port, ASK)
        await asyncio.sleep(0.05)
        assert len(asked) == 2


# ── the programs that are measured ───────────────────────────────────────────────────────────────

BUSY = """
import os, subprocess, sys, time
if len(sys.argv) < 2:
    child = subprocess.Popen([sys.executable, __file__, "child"])
    print(child.pid, flush=True)
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
sys.stdin.read()
"""


@pytest.fixture
def busy(tmp_path):
    """A program that burns 0.3 s, as its child does."""
    (tmp_path / "busy.py").write_text(BUSY)
    command = [sys.executable, tmp_path / "busy.py"]
    core = frozenset({min(os.sched_getaffinity(0))})
    program = Program(name="busy", command=command, folder=tmp_path, cores=core)
    program.start()
    yield program
    program.stop()


def test_the_time_and_memory_of_children_count_and_they_share_the_core(busy, tmp_path):
    until = time.monotonic() + 30
    while busy.seconds() < 0.6:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert busy.seconds() < 1.5
    until_now(lambda: busy.holding().threads == 2)
    held = busy.holding()
    assert held.descriptors >= 6
    assert held.rss > held.pss > 2_000_000
    child = int((tmp_path / "stdout").read_text())
    assert os.sched_getaffinity(child) == os.sched_getaffinity(busy.pid) == busy.cores


def test_we_ourselves_are_not_held_to_its_core():
    before = os.sched_getaffinity(0)
    with pinned(frozenset({min(before)})):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_a_program_that_does_not_start_says_why(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no, because')"]
    program = Program(name="it", command=command, folder=tmp_path, cores=EVERY_CORE)
    program.start()
    with pytest.raises(DidNotStart, match="it ended instead of answering: no, because"):
        program.wait_for(free_port())
    assert program.ended
    assert program.stop() == 1


@pytest.mark.parametrize(("told", "where"), [("", "compiled"), ("elsewhere", "elsewhere")])
def test_python_compiles_what_it_measures_as_where_it_is_installed(
    tmp_path, monkeypatch, told, where
):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", told and str(tmp_path / told))
    command = [sys.executable, "-c", "import sys; sys.path.append('.'); import module"]
    folder = tmp_path / "it"
    program = Program(name="it", command=command, folder=folder, cores=EVERY_CORE)
    folder.mkdir()
    (folder / "module.py").write_text("")
    program.start()
    assert program.process.wait(30) == 0, program.said
    program.stop()
    assert list((tmp_path / where).rglob("module.*.pyc"))
