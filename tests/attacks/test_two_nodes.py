"""Two servers, one store: a thousand callers are one question, and no part is needed (§4)."""

import signal
import socket
import threading
import time
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest

from tests import upstream as u
from tests.attacks.lab import MORE, Process
from tests.attacks.test_faults import locked
from tests.world import FILE

SEALED = f'encryption_key = "{urlsafe_b64encode(bytes(range(32))).decode()}"\n'


@pytest.fixture(params=["sqlite", "postgresql"])
def two(request, labs):
    """A lab, and another server beside its own."""
    if request.param == "sqlite":
        lab = labs(config=SEALED + FILE + MORE)
    else:
        store = request.getfixturevalue("postgresql").fresh()
        lab = labs(config=SEALED + FILE + MORE, store=store)
    other = Process(lab.server.folder / "other", lab.server.config.read_text())
    try:
        lab.server.start()
        other.start()
        yield lab, other
        for server in (lab.server, other):
            if server.child.poll() is None:
                assert server.end(signal.SIGTERM) == 0
    finally:
        other.kill()


def crowd(lab, servers, size):
    """What so many callers hear who all come at the same moment, ten on each connection."""
    head = f"Host: a\r\nAuthorization: Bearer {lab.user_token()}\r\n"
    request = f"GET /getToken HTTP/1.1\r\n{head}\r\n".encode()
    last = f"GET /getToken HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
    connections = size // 10
    together = Barrier(connections)

    def ten(n):
        port = servers[n % len(servers)].port
        with socket.create_connection(("127.0.0.1", port), 15) as it:
            together.wait(15)
            it.sendall(request * 9 + last)
            return b"".join(iter(lambda: it.recv(65536), b""))

    with ThreadPoolExecutor(connections) as all_of_them:
        return b"".join(all_of_them.map(ten, range(connections)))


def test_a_thousand_callers_on_two_nodes_are_one_question(two):
    lab, other = two
    lab.upstream.always = u.token(wait=0.5)
    answers = crowd(lab, (lab.server, other), 1000)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"Bearer theirs-1") == 1000
    assert len(lab.upstream.questions) == 1


def test_a_node_killed_while_it_asks_is_followed_by_the_other(two):
    lab, other = two
    lab.upstream.answers.append(u.silent)
    gone = threading.Thread(target=cut_off, args=(lab,))
    gone.start()
    until = time.monotonic() + 10
    while not lab.upstream.questions:
        assert time.monotonic() < until
        time.sleep(0.01)
    lab.server.kill()
    gone.join()
    began = time.monotonic()
    answer = other.get_token(lab.user_token())
    assert answer.body == b"Bearer theirs-1"
    assert time.monotonic() - began < 8
    assert len(lab.upstream.questions) == 2


def cut_off(lab):
    with lab.server.connect() as it:
        token = lab.user_token()
        it.sendall(
            f"GET /getToken HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        with suppress(ConnectionError):
            assert it.recv(100) == b""


def test_while_the_store_is_locked_both_give_tokens(labs):
    lab = labs()
    other = Process(lab.server.folder / "other", lab.server.config.read_text())
    try:
        lab.server.start()
        other.start()
        with locked(lab):
            for server in (lab.server, other):
                began = time.monotonic()
                assert server.get_token(lab.user_token()).status == 200
                assert time.monotonic() - began < 5
        for server in (lab.server, other):
            assert server.end(signal.SIGTERM) == 0
    finally:
        other.kill()
