"""The practice servers' process: real ports, and gone with whoever started it."""

import errno
import os
import signal
import socket

import httpx2
import pytest

from tests.servers import until_now
from tokenward.practice.process import Places, Practice, listener


def wanted(folder):
    return {
        "issuer": "http://127.0.0.1:1",
        "audience": "https://reports.example.com",
        "ims": "http://127.0.0.1:1/ims",
        "ims_audience": "https://models.example.com",
        "caller_audience": "http://tokenserver.sample.bentley.com",
        "client_id": "service-practice",
        "client_secret": "s" * 40,
        "keys": str(folder / "practice.key"),
    }


@pytest.fixture
def practice(tmp_path):
    running = Practice.start((0, 0, 0), wanted(tmp_path))
    yield running
    running.stop()


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_whoever_connects_is_heard_from_the_first_moment(practice):
    idp = practice.places.idp
    assert httpx2.get(f"{idp}.well-known/jwks.json", timeout=30).status_code == 200


def test_when_it_is_ready_it_has_a_token_of_a_caller(practice):
    assert practice.ready().count(".") == 2
    assert httpx2.get(practice.places.itwin).status_code == 200
    assert httpx2.get(f"{practice.places.api}/reports").status_code == 401


def test_its_key_is_kept_for_its_owner_alone(practice, tmp_path):
    practice.ready()
    assert (tmp_path / "practice.key").stat().st_mode & 0o077 == 0


def test_when_it_is_stopped_nobody_listens(practice):
    practice.ready()
    practice.stop()
    assert practice.process.returncode == 0
    assert not any(map(is_open, practice.ports))


def test_stopping_at_once_is_no_trouble(tmp_path):
    running = Practice.start((0, 0, 0), wanted(tmp_path))
    running.stop()
    assert not any(map(is_open, running.ports))


def test_a_server_that_hangs_is_ended(practice):
    practice.ready()
    os.kill(practice.process.pid, signal.SIGSTOP)
    practice.stop()
    assert practice.process.returncode == -signal.SIGKILL


def test_one_that_cannot_start_says_so(tmp_path):
    running = Practice.start(
        (0, 0, 0), {**wanted(tmp_path), "keys": str(tmp_path / "no" / "where")}
    )
    try:
        with pytest.raises(OSError, match="ended with exit code 1"):
            running.ready()
    finally:
        running.stop()


def test_one_that_says_nothing_is_not_waited_for_for_ever(practice, monkeypatch):
    monkeypatch.setattr("tokenward.practice.process.PATIENCE", 0.0)
    os.kill(practice.process.pid, signal.SIGSTOP)
    with pytest.raises(OSError, match="did not answer within 0 seconds"):
        practice.ready()
    os.kill(practice.process.pid, signal.SIGCONT)


def test_the_ports_of_the_last_time_are_taken_again_and_others_if_somebody_has_them(tmp_path):
    with listener(0) as taken, listener(0) as free:
        busy, again = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        running = Practice.start((busy, again, 0), wanted(tmp_path))
        running.stop()
    first, second, third = running.ports
    assert second == again
    assert len({busy, first, second, third}) == 4


def test_places_are_written_as_the_real_ones_are():
    assert Places.at(1, 2, 3) == Places(
        idp="http://127.0.0.1:1/", itwin="http://127.0.0.1:2", api="http://127.0.0.1:3"
    )


def test_a_listener_is_on_loopback_and_hears_at_once():
    with listener(0) as one:
        host, port = one.getsockname()
        assert host == "127.0.0.1"
        assert is_open(port)
    until_now(lambda: not is_open(port))


def test_there_may_be_no_port_to_be_had():
    with listener(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="another program uses it") as caught:
            listener(port)
        assert caught.value.errno == errno.EADDRINUSE
        with listener(port, 0) as other:
            assert other.getsockname()[1] != port


def test_when_nobody_is_there_any_more_to_hear_that_it_is_ready_it_ends_without_a_word(
    tmp_path, capfd
):
    gone = Practice.start((0, 0, 0), wanted(tmp_path))
    gone.process.stdout.close()
    until_now(lambda: is_open(gone.ports[0]))
    gone.process.stdin.close()
    assert gone.process.wait(timeout=30) == 0
    assert capfd.readouterr() == ("", "")
