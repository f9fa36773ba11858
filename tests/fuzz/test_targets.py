"""Every target, hailed on; together a million tries."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

atheris = pytest.importorskip("atheris", reason="atheris has no wheel for this machine")

ROOT = Path(__file__).parent.parent.parent
TRIES = {
    "jws": 190_000,
    "claims": 190_000,
    "form": 170_000,
    "basic": 150_000,
    "header": 150_000,
    "proxy": 40_000,
    "rates": 40_000,
    "upstream": 40_000,
    "grpcweb": 60_000,
    "websocket": 10_000,
    "configuration": 5_000,
}


def test_every_target_has_its_share_of_a_million():
    files = {path.stem for path in (ROOT / "tests" / "fuzz" / "targets").glob("[!_]*.py")}
    assert files == set(TRIES)
    assert sum(TRIES.values()) >= 1_000_000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", sorted(TRIES, key=lambda name: name != "configuration"))
def test_no_input_makes_it_do_what_it_must_not(target, tmp_path):
    environ = {name: value for name, value in os.environ.items() if "COV" not in name}
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz", target),
            *(f"-runs={TRIES[target]}", "-timeout=20", f"-artifact_prefix={tmp_path}/"),
        ],
        cwd=ROOT,
        env={**environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = [path.read_bytes() for path in tmp_path.iterdir()]
    assert ran.returncode == 0, f"{found}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    done = re.search(r"stat::number_of_executed_units:\s+(\d+)", ran.stderr)
    assert done
    assert int(done[1]) >= TRIES[target]


@pytest.mark.timeout(120)
def test_a_target_that_is_wrong_is_found_out(tmp_path):
    """The hail can break something: a promise that no parser keeps does not survive it."""
    script = (
        "import sys, tests.fuzz.targets.form as form, tests.fuzz.__main__ as fuzz\n"
        "whole = form.attempt\n"
        "def attempt(data):\n"
        "    whole(data)\n"
        "    assert b'%41' not in data\n"
        "form.attempt = attempt\n"
        "form.WORDS += (b'%41',)\n"
        f"fuzz.main(['form', '-runs=200000', '-artifact_prefix={tmp_path}/'])\n"
    )
    environ = {name: value for name, value in os.environ.items() if "COV" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode != 0
    assert any(b"%41" in path.read_bytes() for path in tmp_path.iterdir())
