"""`./tokenward soak`, for a few seconds: the real server, everybody who asks, and a verdict."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.soaking import watching

ROOT = Path(__file__).parents[2]


def start(folder, *arguments):
    where = ["--samples", folder / "soak.jsonl", "--measure", "1"]
    return subprocess.Popen(
        [sys.executable, "-P", ROOT / "bench" / "soak.py", *where, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_short_run_asks_everything_and_everything_is_answered_well(tmp_path):
    process = start(tmp_path, "--minutes", "0.22", "--every", "5", "--rate", "100", "--json")
    out, err = process.communicate(timeout=100)
    said = json.loads(out)
    assert said["problems"] == {}, err
    found = {it["name"]: it for it in said["findings"]}
    assert {name: it["held"] for name, it in found.items()} == {
        "memory": False,  # too short to say
        "descriptors": False,
        "load": True,
        "errors": True,
        "said nothing, ended well": True,
    }
    assert (process.returncode, said["held"]) == (1, False)
    samples = watching.read(tmp_path / "soak.jsonl")
    assert [it.at // 5 for it in samples] == [1, 2]
    assert all(it.pss > 20 * 2**20 and it.trail and it.database for it in samples)
    assert said["capacity"] > 100


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_it_early_gets_the_verdict_so_far(tmp_path, sign):
    process = start(tmp_path, "--rate", "50")
    assert any("asking 50 times a second" in line for line in process.stderr)
    time.sleep(2)
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert "errors: 0 of " in out, err
    assert out.endswith("\nMISSED\n")
    assert process.returncode == 1


def test_what_is_no_option_is_said(tmp_path):
    process = start(tmp_path, "--forever")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "--forever" in err
