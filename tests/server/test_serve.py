"""The server as a process: how it opens its port, says that it is ready, and stops."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.server.toys import SECRET, Wire, ask, eventually, front, request
from tokenward.server.listening import CannotListen, let_in, listen, turn_away, welcome
from tokenward.server.serve import serve, serving

ROOT = Path(__file__).parents[2]


class Process:
    """The toys, served by a process of their own."""

    def __init__(self, port=0, drain=5.0):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.toys", str(port), str(drain)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self, within=15):
        """The exit code, and what it said until then."""
        out, err = self.process.communicate(timeout=within)
        return self.process.returncode, out, err


@pytest.fixture
def process():
    with contextlib.ExitStack() as stack:

        def start(**options):
            process = Process(**options)
            stack.callback(process.process.communicate)
            stack.callback(process.process.kill)
            return process

        yield start


# Opening the port


def test_it_says_where_it_is_once_it_answers():
    with serving(front()) as url:
        assert url.startswith("http://127.0.0.1:")
        assert ask(url).status == 200


@pytest.mark.parametrize(
    ("host", "named"),
    [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")],
)
def test_it_names_a_host_that_one_can_ask(host, named):
    with serving(front(), host=host) as url:
        assert url.startswith(f"http://{named}:")
        assert ask(url).status == 200


@pytest.mark.parametrize("host", ["::1", "::"])
def test_it_speaks_ipv6(host):
    if not socket.has_ipv6 or not usable("::1"):
        pytest.skip("this machine has no IPv6")
    with serving(front(), host=host) as url:
        assert url.startswith("http://[::1]:")
        assert ask(url).json["address"] == "::1"


def usable(host):
    try:
        listen(host, 0).close()
    except CannotListen:
        return False
    return True


def test_a_port_that_is_taken_is_said_with_what_to_do():
    with listen("127.0.0.1", 0) as mine:
        port = mine.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            serve(front(), port=port)
    assert f"http://127.0.0.1:{port}" in str(caught.value)
    assert "another port" in str(caught.value)


def test_a_port_is_not_shared_with_strangers():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as theirs:
        port = theirs.getsockname()[1]
        with pytest.raises(CannotListen):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 300, "::x"])
def test_an_address_that_is_not_ours_is_said(host):
    with pytest.raises(CannotListen, match="Cannot listen"):
        listen(host, 0)


def test_workers_share_a_port_that_the_first_one_took():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port, beside=True) as second:
            first.setblocking(False)
            second.setblocking(False)
            served = set()
            for _ in range(64):
                with socket.create_connection(("127.0.0.1", port)):
                    assert eventually(lambda: served.update(accepted(first, second)) or True)
            assert eventually(lambda: served.update(accepted(first, second)) or len(served) == 2)


def accepted(*listeners):
    for listener in listeners:
        with contextlib.suppress(BlockingIOError):
            listener.accept()[0].close()
            yield listener


def test_small_answers_are_not_held_back():
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        with socket.create_connection(listener.getsockname()):
            connection = accept(listener)
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def accept(listener):
    listener.setblocking(True)
    return listener.accept()[0]


# Starting and stopping


def test_what_the_application_raises_at_its_start_comes_out():
    async def fail():
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"), serving(front(start=fail)):
        pytest.fail("it never served")
    with pytest.raises(LookupError, match="no database"):
        serve(front(start=fail))


def test_an_application_that_does_not_start_leaves_the_port_to_others():
    async def fail():
        raise LookupError

    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(LookupError):
            serve(front(start=fail), listener=listener)
    listen("127.0.0.1", port).close()


def test_an_application_that_gives_up_is_no_success():
    async def silent(scope, receive, send):
        await receive()

    with pytest.raises(RuntimeError, match="startup"):
        serve(silent)


def test_signals_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    def ready(_):
        signal.raise_signal(signal.SIGTERM)

    serve(front(), ready=ready)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_peace(process, number):
    process = process()
    assert ask(process.url).status == 200
    process.stop(number)
    assert process.end() == (0, "stopped\n", "")


def test_what_is_under_way_is_answered_and_nothing_new_is_taken(process):
    process = process()
    with Wire(process.url) as wire, Wire(process.url) as idle:
        assert idle.say(request()).hear().status == 200
        wire.say(request("GET", "/slow?1"))
        time.sleep(0.1)
        process.stop()
        assert idle.closed()
        with pytest.raises(ConnectionError):
            ask(process.url)
        heard = wire.hear()
        assert (heard.json, heard["connection"]) == ({"slept": True}, "close")
    assert process.end() == (0, "stopped\n", "")


def test_a_body_that_is_under_way_has_a_moment(process):
    process = process()
    with Wire(process.url) as wire:
        wire.say(request("POST", "/token", "Content-Length: 4") + b"ab")
        time.sleep(0.1)
        process.stop()
        time.sleep(0.3)
        assert wire.say(b"cd").hear().json["body"] == "abcd"
    assert process.end()[0] == 0


def test_the_hanging_are_not_waited_for_longer_than_the_limit(process):
    process = process(drain=0.5)
    with contextlib.ExitStack() as stack:
        for data in [request("GET", "/slow?60"), request("GET", "/tok")[:-2]] * 3:
            stack.enter_context(Wire(process.url)).say(data)
        last = stack.enter_context(Wire(process.url))
        last.say(request("GET", "/slow?60"))
        time.sleep(0.2)
        started = time.monotonic()
        process.stop()
        assert last.hear().status == 503
        code, out, _ = process.end()
        assert (code, out) == (0, "stopped\n")
        assert time.monotonic() - started < 5


def test_half_sent_requests_do_not_hold_the_end_up(process):
    process = process(drain=10)
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            wire = stack.enter_context(Wire(process.url))
            wire.say(request("POST", "/token", "Content-Length: 99") + b"half")
        time.sleep(0.2)
        started = time.monotonic()
        process.stop()
        assert process.end()[0] == 0
        assert time.monotonic() - started < 8


def test_a_second_signal_does_not_wait(process):
    process = process(drain=60)
    with Wire(process.url) as wire:
        wire.say(request("GET", "/slow?60"))
        time.sleep(0.2)
        process.stop()
        time.sleep(0.3)
        started = time.monotonic()
        process.stop()
        assert process.end()[:2] == (0, "stopped\n")
        assert time.monotonic() - started < 5


def test_nobody_who_is_served_notices_the_end(process):
    process = process()
    outcomes, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                heard = ask(process.url)
            except ConnectionError:
                return  # refused, or still in the queue of the port when it closed
            outcomes.append(heard and heard.status)

    loaders = [threading.Thread(target=load) for _ in range(4)]
    for loader in loaders:
        loader.start()
    assert eventually(lambda: len(outcomes) > 50)
    process.stop()
    assert process.end()[0] == 0
    stop.set()
    for loader in loaders:
        loader.join()
    assert set(outcomes) == {200}


def test_what_goes_wrong_is_one_line_of_json_on_stderr(process):
    process = process()
    heard = ask(process.url, "GET", "/broken")
    process.stop()
    code, _, err = process.end()
    (line,) = err.splitlines()
    said = json.loads(line)
    assert code == 0
    assert (said["level"], said["logger"]) == ("error", "tokenward.server")
    assert said["request_id"] == heard["x-request-id"]
    assert said["message"] == "GET /broken failed"
    assert f"LookupError: {SECRET}" in said["traceback"]


def test_the_port_can_be_taken_again_at_once(process):
    first = process()
    port = int(first.url.rpartition(":")[2])
    with Wire(first.url) as wire:
        wire.say(request()).hear()
        first.stop()
        assert first.end()[0] == 0
        assert process(port=port).url == first.url


def test_serving_needs_nothing_that_only_others_need():
    program = """if True:
        import sys
        import tokenward.server.asgi, tokenward.server.guard, tokenward.server.serve
        heavy = "sqlalchemy alembic typer rich jinja2 pydantic starlette fastapi httpx2 websockets"
        print(*(name for name in heavy.split() if name in sys.modules))
    """
    out = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert out.stdout.split() == []


# Turning people away


def test_who_has_begun_a_connection_is_let_in_and_nobody_begins_one_any_more():
    listener = listen("127.0.0.1", 0)
    here = listener.getsockname()
    with listener, socket.create_connection(here, timeout=5) as early:
        turn_away(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(here, timeout=0.3)
        early.sendall(b"hello")
        (connection,) = let_in(listener)
        with connection:
            connection.setblocking(True)
            assert connection.recv(5) == b"hello"
            connection.sendall(b"there")
        assert early.recv(5) == b"there"


def test_who_listens_next_is_found_again():
    listener = listen("127.0.0.1", 0)
    with listener:
        turn_away(listener)
        welcome(listener)
        assert_somebody_gets_in(listener)


def test_a_port_that_turned_nobody_away_can_welcome_everybody():
    listener = listen("127.0.0.1", 0)
    with listener:
        welcome(listener)
        assert_somebody_gets_in(listener)


def assert_somebody_gets_in(listener):
    with socket.create_connection(listener.getsockname(), timeout=5) as somebody:
        (connection,) = let_in(listener)
        with connection:
            connection.sendall(b"hello")
        assert somebody.recv(5) == b"hello"
