"""``tokenward dev`` holds practice secrets: they are for this machine's user, and nobody else."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.attacks.lab import Process, environment


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dev") / "data"
    child = subprocess.Popen(
        [sys.executable, "-m", "tokenward", "dev", "--port", "0", "--data", folder, "--json"],
        env=environment(HOME=str(folder.parent)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    told = json.loads(child.stdout.readline())
    server = Process(folder.parent / "x", "", port=int(told["issuer"].rpartition(":")[2]))
    server.child = child
    yield server, told, folder
    child.terminate()
    assert child.wait(15) == 0
    child.stdout.close()


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:80", "[::1]:8080"])
def test_its_page_is_for_browsers_that_call_this_machine_by_name(dev, host):
    server, told, _ = dev
    answer = server.ask("GET", "/", host=host)
    assert answer.status == 200
    assert told["client_secret"].encode() in answer.body
    assert answer["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "x@y"]
)
def test_a_name_that_was_made_to_mean_us_gets_no_page(dev, host):
    """DNS rebinding."""
    server, told, _ = dev
    answer = server.ask("GET", "/", host=host)
    assert answer.status >= 400
    assert told["client_secret"].encode() not in answer.body


def children_of(pid):
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_its_secrets_are_not_for_other_users(dev):
    server, told, folder = dev
    for process in (server.child.pid, *children_of(server.child.pid)):
        arguments = Path(f"/proc/{process}/cmdline").read_text()
        assert told["client_secret"] not in arguments
        assert told["caller_token"] not in arguments
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_all_of_it_listens_on_loopback_only(dev):
    _, told, _ = dev
    urls = [told["issuer"], *(told["urls"][name] for name in ("idp", "itwin", "api"))]
    ports = {int(url.split(":")[2].partition("/")[0]) for url in urls}
    listening = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        where, state = line.split()[1], line.split()[3]
        address, _, port = where.partition(":")
        if state == "0A" and int(port, 16) in ports:
            listening.setdefault(int(port, 16), set()).add(address)
    assert listening == {port: {"0100007F"} for port in ports}


def test_when_it_is_killed_its_friends_end_too(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-m", "tokenward", "dev", "--port", "0", "--data", tmp_path, "--json"],
        env=environment(HOME=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with child:
        child.stdout.readline()
        friends = children_of(child.pid)
        child.kill()
    assert friends
    until = time.monotonic() + 10
    while any(running(it) for it in friends):
        assert time.monotonic() < until, friends
        time.sleep(0.05)


def running(pid):
    """Whether a process lives; one that nobody has buried yet does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("port", ["-1", "70000", "abc"])
def test_a_port_that_is_none_is_refused_in_words(tmp_path, port):
    command = [sys.executable, "-m", "tokenward", "dev", "--port", port, "--data", tmp_path]
    told = subprocess.run(
        command, env=environment(HOME=str(tmp_path)), capture_output=True, text=True, check=False
    )
    assert told.returncode not in (0, None)
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", ["ümlaut 'quotes\" $dollars {braces} %s"])
def test_its_folder_may_have_any_name(tmp_path, name):
    command = [sys.executable, "-m", "tokenward", "dev", "--port", "0", "--json"]
    child = subprocess.Popen(
        [*command, "--data", tmp_path / name],
        env=environment(HOME=os.fspath(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = child.stdout.readline()
    child.terminate()
    _, said = child.communicate(timeout=15)
    assert "Traceback" not in said, said[-300:]
    assert line, said
