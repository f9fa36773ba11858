"""Every token handed over has its line: what ``audit = "before"`` promises, under ``kill -9`` and
without a disk."""

import http.client
import json
import signal
import threading
import time
from contextlib import closing, suppress
from hashlib import sha256

import pytest

from tests.attacks.lab import FORM, MORE, NIGHTLY, REPORTS, basic
from tests.attacks.test_faults import disk
from tests.world import FILE

__all__ = ["disk"]

BEFORE = FILE.replace('to = "{audit}"', 'to = "{audit}"\nmode = "before"') + MORE


def collected(port, into, until):
    """Ask for tokens, one after the other, for as long as anybody answers."""
    headers = {"Content-Type": FORM, "Authorization": basic(*NIGHTLY)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        while not until.is_set():
            connection.request("POST", "/token", REPORTS, headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                into.append(json.loads(body)["access_token"])


def noted(server):
    """The tokens of which the trail tells; a last line may be half there."""
    lines = (server.folder / "audit.jsonl").read_bytes().split(b"\n")
    events = [json.loads(line) for line in lines[:-1] if line.endswith(b"}")]
    return {it["token_sha256"] for it in events if it.get("token_sha256")}


def test_before_a_kill_costs_no_line_of_any_token_handed_over(labs):
    server = labs(config=BEFORE).server
    handed_over = []
    for round in range(10):
        server.start()
        done = threading.Event()
        threads = [
            threading.Thread(target=collected, args=(server.port, handed_over, done))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.1 + 0.03 * round)
        server.kill()
        done.set()
        for thread in threads:
            thread.join()
    assert len(handed_over) > 50
    missing = {sha256(it.encode()).hexdigest() for it in handed_over} - noted(server)
    assert not missing


def test_behind_a_kill_costs_the_lines_of_fifty_milliseconds_and_no_more(labs):
    server = labs().server.start()
    for _ in range(50):
        server.post()
    time.sleep(0.5)
    before = server.post().token
    time.sleep(0.5)
    server.kill()
    assert sha256(before.encode()).hexdigest() in noted(server)


def test_before_without_a_disk_there_is_no_token_and_then_there_is_again(disk, labs):
    lab = labs(config=BEFORE)
    server = lab.server.start()
    kept = server.post().token
    disk.fill(server.child)
    until = time.monotonic() + 10
    while (answer := server.post()).status == 200:  # the last page of the file has room
        assert time.monotonic() < until
    assert answer.error == (503, "temporarily_unavailable")
    assert answer["retry-after"] == "5"
    assert "disk" not in answer.body.decode()
    assert server.get_token(lab.user_token()).status == 503
    assert server.ask("GET", "/.well-known/jwks.json").status == 200
    assert server.ask("GET", "/livez").status == 200
    ready = server.ask("GET", "/readyz")
    assert ready.status == 503
    assert "audit" in ready.json["failing"]
    disk.clear(server.child)
    after = server.post().token
    assert server.live(kept)
    assert server.ask("GET", "/readyz").status == 200
    assert server.end(signal.SIGTERM) == 0
    assert {sha256(it.encode()).hexdigest() for it in (kept, after)} <= noted(server)
    lines = (server.folder / "audit.jsonl").read_text().splitlines()
    assert any(json.loads(it)["event"] == "audit" for it in lines), "it says that it was not whole"


@pytest.mark.parametrize("config", [BEFORE, FILE + MORE], ids=["before", "behind"])
def test_logrotate_loses_nothing(labs, config):
    server = labs(config=config).server.start()
    first = server.post().token
    time.sleep(0.2)
    (server.folder / "audit.jsonl").rename(server.folder / "audit.jsonl.1")
    second = server.post().token
    assert server.end(signal.SIGTERM) == 0
    assert sha256(first.encode()).hexdigest() in (server.folder / "audit.jsonl.1").read_text()
    assert sha256(second.encode()).hexdigest() in (server.folder / "audit.jsonl").read_text()
