"""What happens to a process: killed, stopped, locked out of its own store, without a disk (§4)."""

import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.attacks.lab import FORM, NIGHTLY, REPORTS, basic
from tests.upstream import token
from tests.world import API_SECRET, SECRET, UPSTREAM_SECRET

HEAD = f"Host: a\r\nContent-Type: {FORM}\r\nAuthorization: {basic(*NIGHTLY)}\r\n"
POST = f"POST /token HTTP/1.1\r\n{HEAD}Content-Length: {len(REPORTS)}\r\n\r\n{REPORTS}".encode()


def test_after_a_kill_keys_and_revocations_are_as_they_were(labs):
    server = labs().server.start()
    keys = server.ask("GET", "/.well-known/jwks.json").body
    kept, revoked = server.post().token, server.post().token
    assert server.revoke(revoked).status == 200
    server.kill()
    server.start()
    assert server.ask("GET", "/.well-known/jwks.json").body == keys
    assert server.live(kept)
    assert not server.live(revoked)
    assert server.end(signal.SIGTERM) == 0


@contextmanager
def locked(lab):
    db = sqlite3.connect(lab.server.folder / "t.db", isolation_level=None)
    try:
        db.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        db.close()


def test_a_store_locked_for_a_moment_is_waited_for_and_for_long_is_503(labs):
    lab = labs()
    server = lab.server.start()
    first, second = server.post().token, server.post().token
    answers = {}

    def revoke(name, it):
        answers[name] = server.revoke(it)

    waiting = threading.Thread(target=revoke, args=("short", first))
    with locked(lab):
        waiting.start()
        time.sleep(1)
    waiting.join()
    with locked(lab):
        waiting = threading.Thread(target=revoke, args=("long", second))
        waiting.start()
        for path in ("/livez", "/.well-known/jwks.json"):
            assert server.ask("GET", path).status == 200
        assert server.post().status == 200
        assert server.get_token(lab.user_token()).status == 200
        waiting.join()
    assert answers["short"].status == 200
    assert answers["long"].error == (503, "temporarily_unavailable")
    assert answers["long"]["retry-after"] == "5"
    assert not server.live(first)
    assert server.live(second)
    assert server.revoke(second).status == 200
    assert server.end(signal.SIGTERM) == 0


class Disk:
    """A small disk that can be filled: one of its own if we may have one, or else a limit."""

    def __init__(self, folder):
        self.folder = folder
        self.filler = folder / "filler"
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
        self.mounted = False
        with suppress(OSError):
            self.mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0

    def fill(self, process):
        """No file of this process can grow any more."""
        if not self.mounted:
            self._limit(process, 0)
            return
        descriptor = os.open(self.filler, os.O_CREAT | os.O_WRONLY)
        for size in (65_536, 4_096, 1):
            with suppress(OSError):
                while os.write(descriptor, b"x" * size):
                    pass
        os.close(descriptor)

    def clear(self, process):
        if self.mounted:
            self.filler.unlink()
        else:
            self._limit(process, 1 << 30)

    def end(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=True)

    def _limit(self, process, size):
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    disk = Disk(folder)
    yield disk
    disk.end()


def test_a_full_disk_is_503_and_whatever_needs_none_goes_on(disk, labs):
    server = labs().server.start()
    kept = server.post().token
    disk.fill(server.child)
    assert server.revoke(kept).error == (503, "temporarily_unavailable")
    assert server.post().status == 200
    assert server.live(kept)
    assert server.ask("GET", "/.well-known/jwks.json").status == 200
    assert server.ask("GET", "/livez").status == 200
    ready = server.ask("GET", "/readyz").status
    disk.clear(server.child)
    assert server.revoke(kept).status == 200
    assert not server.live(kept)
    assert server.end(signal.SIGTERM) == 0
    for line in (disk.folder / "audit.jsonl").read_text().splitlines():
        json.loads(line)
    assert ready == 503, "it says it is ready although it can keep nothing"


def test_whoever_got_through_to_us_before_we_stopped_is_answered(labs):
    """Connections that the kernel has accepted for us are requests under way: none is reset."""
    server = labs().server.start()
    lost = answered = 0
    ending = threading.Event()
    lock = threading.Lock()

    def ask():
        nonlocal lost, answered
        while not ending.is_set():
            try:
                it = server.connect(5)
            except OSError:
                return
            try:
                it.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                said = b"".join(iter(lambda it=it: it.recv(65536), b""))
            except OSError:
                said = b""
            finally:
                it.close()
            with lock:
                answered += said.startswith(b"HTTP/1.1 200")
                lost += not said

    crowd = [threading.Thread(target=ask) for _ in range(12)]
    for one in crowd:
        one.start()
    time.sleep(0.4)
    assert server.end(signal.SIGTERM) == 0
    ending.set()
    for one in crowd:
        one.join()
    assert answered
    assert lost == 0, f"{lost} of {answered + lost} were accepted and then reset"


def test_what_is_under_way_is_finished_and_then_it_ends_well(labs):
    lab = labs()
    server = lab.server.start()
    lab.upstream.always = token(wait=1.5)
    halves = [server.connect() for _ in range(24)]
    for half in halves:
        half.sendall(POST[:-10])
    said = {}
    slow = threading.Thread(
        target=lambda: said.update(slow=server.get_token(lab.user_token()).status)
    )
    slow.start()
    time.sleep(0.3)
    server.child.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    for half in halves:
        half.sendall(POST[-10:])
    said_to_halves = set()
    for half in halves:
        with half:
            said_to_halves.add(half.recv(65536)[9:12])
    assert said_to_halves == {b"200"}
    slow.join()
    assert said == {"slow": 200}
    assert server.child.wait(10) == 0


def test_one_who_hangs_does_not_keep_it_from_ending(labs):
    server = labs().server.start()
    with server.connect() as it:
        it.sendall(POST[:-10])
        time.sleep(0.1)
        assert server.end(signal.SIGTERM, within=12) == 0


def test_a_hang_up_does_not_kill_it(labs):
    """SIGHUP comes when a terminal is closed, and from operators who mean: read your file again."""
    server = labs().server.start()
    server.child.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert server.child.poll() is None
    assert server.end(signal.SIGTERM) == 0


def test_nobody_else_may_read_what_it_keeps_and_nothing_secret_is_written(labs):
    lab = labs()
    server = lab.server.start()
    tokens = [server.post().token, lab.user_token()]
    server.get_token(tokens[1])
    server.post(auth=("nightly", SECRET + "x"))
    server.post("/token", f"{REPORTS}&client_secret={SECRET}", NIGHTLY)
    server.exchange(tokens[1] + "x", audience=tokens[0])
    arguments = Path(f"/proc/{server.child.pid}/cmdline").read_bytes()
    assert server.end(signal.SIGTERM) == 0
    written = arguments
    for path in server.folder.iterdir():
        if path.name in ("stdout", "stderr", "tokenward.toml"):
            continue
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    for path in server.folder.iterdir():
        written += path.read_bytes() if path.name != "tokenward.toml" else b""
    for secret in (SECRET, API_SECRET, UPSTREAM_SECRET, "theirs-1", tokens[1]):
        assert secret.encode() not in written, secret[:12]


def test_a_line_of_the_trail_is_one_line_whatever_is_asked(labs):
    lab = labs()
    server = lab.server.start()
    evil = 'x","outcome":"ok"}\u2028{"event":"forged'
    server.post("/token", {"grant_type": evil, "audience": evil, "scope": evil}, None)
    server.post("/token", {"grant_type": "client_credentials", "audience": evil})
    server.get_token(lab.user_token(sub=f"a\n{evil}"), "?audience=x%22")
    server.ask("GET", "/getToken?audience=a%0d%0ab", ("Authorization", "Bearer a\tb"))
    assert server.end(signal.SIGTERM) == 0
    events = [json.loads(it) for it in (server.folder / "audit.jsonl").read_bytes().splitlines()]
    assert {it["event"] for it in events} == {"token", "getToken"}
    assert {it["outcome"] for it in events} == {"refused"}
