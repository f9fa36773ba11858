"""``tokenward serve``: the command around the server, whose own tests are elsewhere."""

import json
import signal
import subprocess

import httpx2
import pytest

from tests.cli.test_check import GOOD, MISTAKEN, VARIABLES
from tests.dev import around, command, program


@pytest.fixture
def good(tmp_path):
    (tmp_path / "tokenward.toml").write_text(GOOD + '[audit]\nto = "trail"\n')
    (tmp_path / ".env.local").write_text(VARIABLES)
    return tmp_path


def started(folder, *arguments):
    return subprocess.Popen(
        program("serve", *arguments),
        cwd=folder,
        env=around(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_says_where_it_serves_and_ends_when_told(good):
    with started(good, "--port", "0") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        url = line.removeprefix("tokenward: serving on ").strip()
        assert httpx2.get(f"{url}/readyz").json() == {"status": "ready"}
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_for_programs_it_says_so_in_json(good):
    with started(good, "--port=0", "--json", "--host", "127.0.0.1") as process:
        assert process.stderr is not None
        said = json.loads(process.stderr.readline())
        assert said == {
            "event": "ready",
            "message": f"serving on {said['url']}",
            "url": said["url"],
        }
        assert httpx2.get(f"{said['url']}/readyz").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_mistakes_come_before_a_port_is_opened(good):
    (good / "tokenward.toml").write_text(MISTAKEN)
    said = command("serve", cwd=good)
    assert (said.code, said.out) == (78, "")
    assert said.err.count("error: ") >= 3
    told = command("serve", "--json", cwd=good)
    assert (told.code, told.out) == (78, "")
    events = [json.loads(line) for line in told.err.splitlines()]
    assert {"event", "place", "message", "hint"} == set(events[0])
    assert {event["event"] for event in events} == {"error"}
    assert len(events) == said.err.count("error: ")


def test_warnings_do_not_keep_it_from_serving(good):
    (good / "tokenward.toml").write_text(GOOD.replace("${ITWIN}", "written-into-the-file"))
    with started(good, "--port", "0", "--json") as process:
        assert process.stderr is not None
        warning, ready = (json.loads(process.stderr.readline()) for _ in range(2))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert (warning["event"], ready["event"]) == ("warning", "ready")
    assert "written-into-the-file" not in json.dumps(warning)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_port_that_is_taken_is_said(good, form):
    with started(good, "--port", "0") as first:
        assert first.stderr is not None
        port = first.stderr.readline().strip().rpartition(":")[2]
        said = command("serve", "--port", port, *form, cwd=good)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)
    assert (said.code, said.out) == (1, "")
    assert "another program uses it" in said.err
    assert not form or json.loads(said.err)["event"] == "failed"


def test_a_trail_that_cannot_be_written_is_said(good):
    (good / "tokenward.toml").write_text(GOOD + '[audit]\nto = "nowhere/trail"\n')
    said = command("serve", "--port", "0", cwd=good)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("tokenward: cannot start: ")


def test_without_a_configuration_there_is_one_to_begin_with(tmp_path):
    said = command("serve", cwd=tmp_path)
    assert (said.code, said.out) == (78, "")
    assert "[callers.nightly]" in said.err
