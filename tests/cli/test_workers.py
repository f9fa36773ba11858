"""``tokenward serve --workers``: several processes behind one port, and the one that minds them."""

import json
import os
import re
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.processes import SECRET, Load, Served, children, present
from tests.dev import command
from tests.running import free_port, hashed


@pytest.fixture
def served(tmp_path):
    with Served(folder=tmp_path, listen="workers = 2") as made:
        yield made


def test_two_serve_and_both_end_when_told(served):
    served.start()
    workers = served.workers()
    assert len(workers) == 2
    assert served.ask()[0] == 200
    assert served.stop() == 0
    assert not any(map(present, workers))
    assert served.err == f"tokenward: serving on http://127.0.0.1:{served.port}\n"


def test_the_command_line_says_how_many(served):
    served.start("--workers", "3", "--port", "0")
    assert len(served.workers()) == 3
    assert served.stop() == 0


def test_each_serves_its_share_of_many_connections(served):
    served.start()
    held = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(64)]
    served.until(lambda: sum(shares(served).values()) >= 64)
    assert min(shares(served).values()) >= 64 * 0.2, shares(served)
    for one in held:
        one.close()
    assert served.stop() == 0


def shares(served):
    """How many connections each worker has."""
    port, mine = f":{served.port:04X}", Counter()
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {
        fields[9]
        for fields in map(str.split, lines)
        if fields[1].endswith(port) and fields[3] == "01"
    }
    for worker in served.workers():
        for fd in Path(f"/proc/{worker}/fd").iterdir():
            try:
                target = str(fd.readlink())
            except OSError:
                continue
            mine[worker] += target.startswith("socket:[") and target[8:-1] in inodes
    return mine


def test_one_that_dies_is_replaced_and_said(served):
    served.start()
    first, second = served.workers()
    os.kill(first, signal.SIGKILL)
    served.until(lambda: len(served.workers()) == 2 and first not in served.workers())
    assert second in served.workers()
    assert [served.ask()[0] for _ in range(16)] == [200] * 16
    assert "was ended by SIGKILL" in served.err
    assert served.stop() == 0


def test_if_the_master_is_killed_nobody_is_left(served):
    served.start()
    workers = served.workers()
    os.kill(served.pid, signal.SIGKILL)
    served.process.wait()
    end = time.monotonic() + 10
    while any(map(present, workers)):
        assert time.monotonic() < end, "workers are left without a master"
        time.sleep(0.02)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", served.port)) != 0


def test_what_is_under_way_is_answered_and_the_exit_code_is_0(served):
    served.start()
    with Load(served, 8) as load:
        load.more(50)
        began = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - began < 10
    assert {status for status in load.heard if isinstance(status, int)} == {200}


def test_one_that_hangs_keeps_nobody_for_longer_than_was_said(served):
    served.write(listen='workers = 2\ndrain = "1s"')
    served.start()
    hanging = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(8)]
    for one in hanging:
        one.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf")
    served.until(lambda: sum(shares(served).values()) == 8)
    began = time.monotonic()
    assert served.stop() == 0
    assert time.monotonic() - began < 8
    for one in hanging:
        one.close()


@pytest.mark.parametrize("way", ["file", "command"])
def test_memory_is_not_shared_and_that_is_said_before_anything_begins(tmp_path, way):
    served = Served(folder=tmp_path, listen="workers = 2" if way == "file" else "")
    served.write()
    file = tmp_path / "tokenward.toml"
    file.write_text(file.read_text().replace("sqlite:kept.db", "memory:"))
    said = command(
        "serve", "--json", *(("--workers", "2") if way == "command" else ()), cwd=tmp_path
    )
    assert said.code == 78
    errors = [it for it in map(json.loads, said.err.splitlines()) if it["event"] == "error"]
    assert len(errors) == 1
    assert "cannot share memory" in errors[0]["message"]
    assert "sqlite" in errors[0]["hint"]


def test_workers_that_cannot_start_are_not_tried_for_ever(served):
    served.write()
    file = served.folder / "tokenward.toml"
    file.write_text(file.read_text().replace('to = "audit.jsonl"', 'to = "no/such/folder/it"'))
    said = command("serve", cwd=served.folder)
    assert said.code == 1
    assert "cannot start" in said.err


def test_a_port_that_is_taken_is_said_by_the_master(served):
    with socket.create_server(("127.0.0.1", served.port)):
        served.write()
        said = command("serve", cwd=served.folder)
    assert said.code == 1
    assert said.err.count("another program uses it") == 1


def test_systemd_hears_when_it_is_ready_and_when_it_stops(served):
    path = served.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(10)
        served.start(NOTIFY_SOCKET=str(path))
        assert systemd.recv(100) == b"READY=1"
        assert served.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"


def test_a_single_process_has_no_children_and_tells_systemd_the_same(tmp_path):
    served = Served(folder=tmp_path, port=free_port())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0tokenward-test-" + str(os.getpid()))
        systemd.settimeout(10)
        served.start(NOTIFY_SOCKET=f"@tokenward-test-{os.getpid()}")
        assert children(served.pid) == []
        assert systemd.recv(100) == b"READY=1"
        assert served.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"


def test_the_numbers_are_of_all_of_them_and_of_those_that_are_gone(served):
    """Whichever worker is asked; and they never go backwards."""
    served.write()
    file = served.folder / "tokenward.toml"
    file.write_text(file.read_text() + f'[metrics]\nsecrets = ["{hashed(SECRET)}"]\n')
    served.start()
    for _ in range(30):
        assert served.ask()[0] == 200
    # Each tells the others once in a while: who is asked may know of the last ones a moment later.
    served.until(lambda: {issued(served) for _ in range(20)} == {30})
    gone = served.workers()[0]
    os.kill(gone, signal.SIGKILL)
    served.until(lambda: gone not in served.workers() and len(served.workers()) == 2)
    served.until(lambda: issued(served) == 30)
    for _ in range(10):
        assert served.ask()[0] == 200
    served.until(lambda: issued(served) == 40)
    assert served.stop() == 0


def issued(served):
    """How many tokens the worker that happens to be asked says were handed out."""
    connection = served.connection()
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {SECRET}"})
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    counts = re.findall(r"^tokenward_tokens_issued_total\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(map(float, counts))
