"""`./tokenward test` ends by naming what ran, what did not, and what would help."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = """
[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
markers = ["clients: x", "browser: x", "fuzz: x", "slow: x"]
"""
TESTS = """
import pytest
def test_yes(): assert 1
def test_two(): assert 2
@pytest.mark.slow
def test_slow(): assert 3
"""
CLIENTS = """
import pytest
@pytest.mark.clients
def test_ours(): assert 1
@pytest.mark.clients
def test_theirs(node): assert node
"""
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
"""What the runner needs of pytest, and nothing that is only loaded."""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the runner with tests of its own."""
    keep = shutil.ignore_patterns("__pycache__", "node_modules", "test_*", "conftest.py")
    shutil.copytree(ROOT / "bootstrap", tmp_path / "bootstrap", ignore=keep)
    shutil.copytree(ROOT / "tests" / "clients", tmp_path / "tests" / "clients", ignore=keep)
    shutil.copy(ROOT / "tests" / "tiers.py", tmp_path / "tests")
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    (tmp_path / "tests" / "clients" / "test_shop.py").write_text(CLIENTS)
    (tmp_path / "tests" / "conftest.py").write_text(
        "import pytest\nfrom tests.clients import nodejs\n@pytest.fixture\ndef node():\n"
        " try: return nodejs.find()\n except nodejs.Missing as missing: pytest.skip(str(missing))\n"
    )
    return tmp_path


def run(checkout, *arguments, cwd=None, path="/nowhere"):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-P", str(checkout / "tests" / "tiers.py"), *arguments],
        env={**inherited, **QUICK, "PATH": path},
        cwd=cwd or checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def summary(done):
    return done.stdout.partition("── all of it ──\n")[2].splitlines()


def test_all_is_well_and_what_did_not_run_is_named_with_its_command(checkout):
    done = run(checkout)
    tiers, closing = summary(done)[:-2], summary(done)[-1]
    assert done.returncode == 0, done.stdout + done.stderr
    assert tiers[0].startswith("fast      3 passed, 0 failed, 0 skipped")
    assert tiers[1:] == [
        "programs  not run: ./tokenward test --programs",
        "clients   not run: ./tokenward test --clients",
        "          test_shop",
        "browser   not run: ./tokenward test --browser",
        "fuzz      not run: ./tokenward test --fuzz",
    ]
    assert closing == "3 passed, 0 failed"


@pytest.mark.parametrize(
    ("broken", "closing"),
    [
        ("def test_no(): assert 0", "3 passed, 1 failed"),
        ("import nothing_of_that_name", "0 passed, 1 failed"),
        (
            "import pytest\n@pytest.fixture\ndef x(): raise ValueError\ndef test_x(x): assert 1",
            "3 passed, 1 failed",
        ),
    ],
)
def test_a_failure_is_a_failure(checkout, broken, closing):
    (checkout / "tests" / "test_broken.py").write_text(broken)
    done = run(checkout, "tests")
    assert done.returncode == 1
    assert summary(done)[-1] == closing


def test_a_run_that_breaks_down_is_a_failure(checkout):
    done = run(checkout, "--no-such-option")
    assert done.returncode == 1
    assert summary(done)[0].startswith("fast      STOPPED, see above")


def test_what_was_skipped_is_named_and_what_was_expected_to_fail_is_not(checkout):
    (checkout / "tests" / "test_more.py").write_text(
        "import pytest\ndef test_later(): pytest.skip('not today')\n"
        "@pytest.mark.xfail\ndef test_known(): assert 0\n"
    )
    done = run(checkout, "tests")
    assert done.returncode == 0
    assert summary(done)[:2][0].startswith("fast      4 passed, 0 failed, 1 skipped")
    assert summary(done)[1].strip() == "skipped: tests.test_more::test_later (not today)"


def test_without_npm_the_other_clients_run_and_the_rest_is_named_with_the_command(checkout):
    done = run(checkout, "--clients")
    said = "\n".join(summary(done))
    assert done.returncode == 0
    assert "clients   1 passed, 0 failed, 1 skipped" in said
    assert "apt-get install -y --no-install-recommends npm" in said
    assert "skipped: tests.clients.test_shop::test_theirs" in said
    assert summary(done)[-1] == "4 passed, 0 failed"


def test_what_runs_side_by_side_is_told_one_after_the_other(checkout):
    (checkout / "tests" / "fuzz").mkdir()
    (checkout / "tests" / "fuzz" / "test_hail.py").write_text(
        "import pytest\n@pytest.mark.fuzz\ndef test_hail(): assert 0, 'hailed on'\n"
    )
    done = run(checkout, "--clients", "--fuzz")
    assert done.returncode == 1
    titles = [line for line in done.stdout.splitlines() if line.startswith("── ")]
    assert titles[0] == "── fast ──"
    assert sorted(titles[1:3]) == ["── clients ──", "── fuzz ──"]
    assert "hailed on" in done.stdout.partition("── fuzz ──")[2].partition("── ")[0]
    assert [it.split("  (")[0] for it in summary(done) if it.startswith(("clients", "fuzz"))] == [
        "clients   1 passed, 0 failed, 1 skipped",
        "fuzz      0 passed, 1 failed, 0 skipped",
    ]


@pytest.mark.parametrize(
    ("arguments", "closing"),
    [
        (["-k", "two"], "1 passed, 0 failed"),
        (["-m", "slow"], "1 passed, 0 failed"),
        (["-m", "clients"], "0 passed, 0 failed"),
        (["-k", "nothing"], "0 passed, 0 failed"),
        (["tests/test_it.py::test_yes"], "1 passed, 0 failed"),
        (["tests/clients"], "0 passed, 0 failed"),
    ],
    ids=str,
)
def test_what_pytest_understands_goes_to_pytest_and_nothing_run_is_no_success(
    checkout, arguments, closing
):
    done = run(checkout, *arguments)
    assert summary(done)[-1] == closing
    assert done.returncode == int(closing.startswith("0"))


def test_a_test_can_be_named_from_where_the_caller_is(checkout):
    done = run(checkout, "test_it.py::test_two", cwd=checkout / "tests")
    assert summary(done)[-1] == "1 passed, 0 failed"


def test_everything_takes_no_choice(checkout):
    done = run(checkout, "--all", "-x")
    assert done.returncode == 2
    assert "it takes no -x" in done.stderr
