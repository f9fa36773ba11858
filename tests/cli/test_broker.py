"""``tokenward broker``: what is shared beside a server that runs, and forgetting it."""

import json
import subprocess
import time
from contextlib import ExitStack

import pytest

from tests.attacks.lab import MORE, Lab
from tests.dev import around, program
from tests.world import FILE, UPSTREAM_SECRET

SECONDS = 15.0


@pytest.fixture
def lab(tmp_path):
    with ExitStack() as stack:
        yield Lab(tmp_path / "lab", stack, config=FILE + MORE)


def broker(lab, *arguments):
    done = subprocess.run(
        program("broker", *arguments),
        cwd=lab.server.folder,
        env={**around(), "UPSTREAM_SECRET": UPSTREAM_SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "theirs-" not in done.stdout + done.stderr
    assert UPSTREAM_SECRET not in done.stdout + done.stderr
    return done


def listed(lab, *arguments):
    done = broker(lab, "list", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["list"]


def test_what_is_shared_is_listed_without_the_token_and_forgotten_by_a_server_that_runs(lab):
    lab.server.start()
    assert listed(lab) == []
    assert "no token is shared" in broker(lab, "list").stdout
    ann = lab.user_token()
    assert lab.server.get_token(ann).body == b"Bearer theirs-1"
    (row,) = listed(lab)
    assert (row["token"], row["scope"]) == ("itwin", "itwin-platform")
    assert abs(row["fetched"] - time.time()) < 60
    assert 3500 < row["expires"] - row["fetched"] <= 3600
    shown = broker(lab, "list", "itwin").stdout
    assert row["place"] in shown
    assert lab.server.get_token(ann).body == b"Bearer theirs-1"

    forgotten = broker(lab, "forget", "itwin")
    assert forgotten.returncode == 0
    assert "forgotten: itwin (1 shared)" in forgotten.stdout
    assert listed(lab) == []
    until = time.monotonic() + SECONDS
    while (body := lab.server.get_token(ann).body) == b"Bearer theirs-1":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert body == b"Bearer theirs-2"
    assert len(listed(lab)) == 1
    assert lab.server.end(15) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "reports"], "there is no upstream token 'reports'"),
        (["forget", "itwn"], "there is no upstream token 'itwn'"),
    ],
)
def test_what_is_no_upstream_token_is_said(lab, arguments, says):
    done = broker(lab, *arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert "There is: itwin" in done.stderr
    assert json.loads(broker(lab, *arguments, "--json").stdout)["ok"] is False


def test_what_is_only_in_memory_is_in_nobody_elses_reach(lab):
    text = lab.server.config.read_text()
    lab.server.config.write_text(text.replace(f"sqlite://{lab.server.folder}/t.db", "memory:"))
    done = broker(lab, "list")
    assert done.returncode == 1
    assert "memory:" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["drop"], ["list", "itwin", "more"]])
def test_what_is_not_understood_is_said(lab, arguments):
    assert broker(lab, *arguments).returncode == 2
