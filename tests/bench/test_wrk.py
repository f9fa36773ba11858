"""What wrk says, and what becomes of an error: a figure, or no figure and why."""

import os
import shutil
import sys

import pytest

from bench import wrk
from bench.asking import Wrong
from bench.contestants import Contestant
from bench.processes import Program, free_port
from bench.rows import look_at_one
from bench.wrk import Load, Void

SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    spent = set()
    def do_GET(self):
        with open("asked", "a") as asked: asked.write(self.path + "\\n")
        what, _, token = self.path.partition("?")
        status = 500 if what == "/broken" or token in self.spent else 200
        self.spent.add(token) if token else None
        body = json.dumps({"refresh_token": token + "x"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def load(tmp_path):
    """Eight connections; wrk is brought, as for a real run."""
    wrk.bring()
    return Load(cores=frozenset(os.sched_getaffinity(0)), folder=tmp_path / "load", connections=8)


@pytest.fixture
def server(tmp_path):
    """A server that remembers what it was asked."""
    port = free_port()
    (tmp_path / "server.py").write_text(SERVER)
    program = Program(
        name="it",
        command=[sys.executable, tmp_path / "server.py", str(port)],
        folder=tmp_path,
        cores=frozenset(os.sched_getaffinity(0)),
    )
    contestant = Contestant(name="it", port=port, program=program)
    contestant.start()
    yield contestant
    contestant.stop()


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_many_requests_are_asked_in_turn_from_where_it_stopped(load, server, tmp_path):
    file = load.written("many", [get(f"/{it}") for it in range(100)])
    said = load.ask(server.program, server.port, file, seconds=1, first=50)
    asked = [int(it[1:]) for it in (tmp_path / "asked").read_text().split()]
    assert 50 <= min(asked[:8]) <= max(asked[:8]) < 75, "eight connections, each asks at once"
    assert len(set(asked[:60])) > 50
    assert 0 <= said["next"] <= 100
    assert said["value"] == said["requests"] / said["cpu_seconds"]
    assert said["p99_ms"] >= said["p50_ms"] > 0


def test_an_answer_that_is_an_error_makes_it_void(load, server):
    file = load.written("some", [get("/fine"), get("/broken")])
    with pytest.raises(Void, match="answers were errors"):
        load.ask(server.program, server.port, file, seconds=1)


def test_each_answer_brings_the_token_for_a_later_request(load, server, tmp_path):
    file = load.written("chain", [get("/chain?@REFRESH_TOKEN@")])
    (load.folder / "chain.tokens").write_text("".join(f"{it}-\n" for it in range(16)))
    said = load.ask(server.program, server.port, file, seconds=1, first="chain")
    tokens = [it.partition("?")[2] for it in (tmp_path / "asked").read_text().split()]
    assert len(tokens) >= said["requests"] > 16
    assert len(set(tokens)) == len(tokens)
    assert max(map(len, tokens)) > 3


def test_nobody_there_is_void(load, server):
    file = load.written("one", [get("/")])
    with pytest.raises(Void):
        load.ask(server.program, free_port(), file, seconds=1)


def test_one_answer_is_read_and_has_to_be_good(load, server):
    requests = load.written("one", [get("/?t")]).read_bytes()
    seen = []
    look_at_one(server, requests, lambda body: seen.append(body) or True)
    assert seen == [b'{"refresh_token": "tx"}']
    with pytest.raises(Void, match="500 instead of 200"):
        look_at_one(server, requests, lambda _: True)
    with pytest.raises(Void, match="answers b'"):
        look_at_one(server, load.written("two", [get("/?u")]).read_bytes(), lambda _: False)


def test_without_wrk_it_says_which_command_helps(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Void, match="apt-get install -y --no-install-recommends wrk"):
        wrk.bring()


def test_what_is_wrong_is_no_figure():
    assert not issubclass(Void, Wrong)
