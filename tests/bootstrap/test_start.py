"""`./tokenward` from a checkout: set up once, started at once from then on. No network is asked."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.prefix) / "bin"))
PROGRAM = """
import json, os, sys
import demo
print(json.dumps([sys.argv[1:], os.getcwd(), demo.VERSION, sys.prefix]))
"""


def wheel(folder, version):
    """A package that says its version, and what a lock file says of it."""
    name = folder / f"demo-{version}-py3-none-any.whl"
    info = f"demo-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("demo.py", f"VERSION = {version!r}\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD", f"demo.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return f"demo=={version} --hash=sha256:{hashlib.sha256(name.read_bytes()).hexdigest()}\n"


class Checkout:
    """A copy of the way in, with a program of one line and an index that is a folder."""

    def __init__(self, folder, *, uv):
        self.folder = folder / "checkout"
        self.packages = folder / "packages"
        (self.folder / "src" / "tokenward").mkdir(parents=True)
        (self.folder / "src" / "tokenward" / "__main__.py").write_text(PROGRAM)
        (self.folder / "tests").mkdir()
        (self.folder / "tests" / "tiers.py").write_text(
            "import sys\nprint('tests', sys.argv[1:])\n"
        )
        shutil.copy(ROOT / "tokenward", self.folder)
        shutil.copytree(
            ROOT / "bootstrap", self.folder / "bootstrap", ignore=shutil.ignore_patterns("__py*")
        )
        self.lock(wheel(self.packages, "1.0"))
        (self.folder / "requirements-uv.lock").write_text(f"uv==0 --hash=sha256:{'0' * 64}\n")
        self.environ = {
            "PATH": os.pathsep.join([*([str(Path(UV).parent)] if uv else []), "/usr/bin", "/bin"]),
            "HOME": str(folder),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.packages),
            "PIP_CONFIG_FILE": "/dev/null",
        }
        self.venv = self.folder / ".venv"

    def lock(self, text, *, dev=None):
        (self.folder / "requirements.lock").write_text(text)
        (self.folder / "requirements-dev.lock").write_text(dev or text)

    def command(self, *arguments, entry=None):
        return [sys.executable, str(entry or self.folder / "tokenward"), *arguments]

    def start(self, *arguments, entry=None, cwd=None, **environ):
        return subprocess.run(
            self.command(*arguments, entry=entry),
            env={**self.environ, **environ},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path, uv=bool(UV))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout that has been started once."""
    checkout = Checkout(tmp_path_factory.mktemp("made"), uv=bool(UV))
    checkout.first = checkout.start("dev", "--port", "0")
    return checkout


def test_the_first_start_sets_up_and_says_so_and_then_starts(made):
    assert made.first.returncode == 0, made.first.stderr
    assert '["dev", "--port", "0"]' in made.first.stdout
    said = made.first.stderr.splitlines()
    assert said[0].startswith(f"tokenward: setting up in {made.venv}")
    assert said[-1].startswith("tokenward: ready after ")


def test_the_next_start_says_nothing_and_sets_nothing_up(made):
    log = (made.venv / ".tokenward" / "log").read_bytes()
    again = made.start("serve")
    assert (again.returncode, again.stderr) == (0, "")
    assert '["serve"]' in again.stdout
    assert (made.venv / ".tokenward" / "log").read_bytes() == log


def test_the_caller_stays_in_the_folder_they_are_in(made, tmp_path):
    assert f'"{tmp_path}"' in made.start("check", cwd=tmp_path).stdout


def test_a_link_to_it_is_as_good_as_itself(made, tmp_path):
    (tmp_path / "tw").symlink_to(made.folder / "tokenward")
    started = made.start("check", entry=tmp_path / "tw", cwd=tmp_path)
    assert (started.returncode, started.stderr) == (0, "")


@pytest.mark.parametrize("name", ["demo.py", "json.py", "tokenward/__main__.py"])
def test_no_file_of_the_callers_folder_takes_the_place_of_ours(made, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('taken over')")
    started = made.start("check", cwd=tmp_path)
    assert (started.returncode, started.stderr) == (0, "")


def test_the_tests_need_more_and_get_it_into_the_same_place(checkout):
    checkout.lock(wheel(checkout.packages, "1.0"), dev=wheel(checkout.packages, "2.0.0"))
    assert '"1.0"' in checkout.start("dev").stdout
    tested = checkout.start("test", "-x")
    assert tested.stdout == "tests ['-x']\n"
    assert "requirements-dev.lock" in tested.stderr
    assert checkout.start("test").stderr == checkout.start("dev").stderr == ""


@pytest.mark.parametrize("command", ["bench", "soak"])
def test_what_measures_needs_what_the_tests_need(checkout, command):
    checkout.lock(wheel(checkout.packages, "1.0"), dev=wheel(checkout.packages, "2.0.0"))
    (checkout.folder / "bench").mkdir()
    (checkout.folder / "bench" / f"{command}.py").write_text(
        "import sys, demo\nprint(demo.VERSION, sys.argv[1:])\n"
    )
    assert checkout.start(command, "--quick").stdout == "2.0.0 ['--quick']\n"


def test_a_new_lock_file_is_installed_at_the_next_start(checkout):
    assert '"1.0"' in checkout.start("dev").stdout
    checkout.lock(wheel(checkout.packages, "2.0.0"))
    assert '"2.0.0"' in checkout.start("dev").stdout
    assert checkout.start("dev").stderr == ""


def test_what_was_interrupted_is_done_again(checkout):
    checkout.start("dev")
    (checkout.venv / ".tokenward" / "run").unlink()
    shutil.rmtree(checkout.venv / "bin")
    again = checkout.start("dev")
    assert '"1.0"' in again.stdout
    assert "making a Python environment" in again.stderr


def test_a_package_that_is_not_the_locked_one_is_not_installed(checkout):
    (checkout.packages / "demo-1.0-py3-none-any.whl").unlink()
    wheel(checkout.packages, "1.0")
    with zipfile.ZipFile(checkout.packages / "demo-1.0-py3-none-any.whl", "a") as archive:
        archive.writestr("more.py", "")
    refused = checkout.start("dev")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not the one that the lock file names" in refused.stderr
    assert not (checkout.venv / ".tokenward" / "run").exists()


def test_an_environment_of_somebody_elses_that_does_not_work_is_left_alone(checkout):
    (checkout.venv / "bin").mkdir(parents=True)
    (checkout.venv / "bin" / "mine").write_text("precious")
    refused = checkout.start("dev")
    assert refused.returncode == 1
    assert "was not made by tokenward" in refused.stderr
    assert (checkout.venv / "bin" / "mine").read_text() == "precious"


def test_another_place_can_be_named(checkout, tmp_path):
    started = checkout.start("dev", TOKENWARD_VENV="../elsewhere")
    assert f'"{tmp_path / "elsewhere"}"' in started.stdout
    assert not checkout.venv.exists()


def test_a_place_that_cannot_be_a_folder_is_said_in_one_sentence(checkout):
    checkout.venv.write_text("a file")
    refused = checkout.start("dev")
    assert refused.returncode == 1
    assert "TOKENWARD_VENV" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_of_two_starts_at_once_one_sets_up_and_the_other_waits(checkout):
    both = [
        subprocess.Popen(
            checkout.command("dev"),
            env=checkout.environ,
            cwd=checkout.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ends = [start.communicate(timeout=100) for start in both]
    assert [start.returncode for start in both] == [0, 0]
    assert all('"1.0"' in out for out, _ in ends)
    assert sum("ready after" in err for _, err in ends) == 1


def test_a_start_that_is_stopped_leaves_nothing_that_counts(checkout):
    start = subprocess.Popen(
        checkout.command("dev"), env=checkout.environ, cwd=checkout.folder, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 60
    while not (checkout.venv / ".tokenward" / "made").exists() and time.monotonic() < until:
        time.sleep(0.01)
    start.terminate()
    start.communicate(timeout=60)
    assert start.returncode in {143, -15}
    assert not (checkout.venv / ".tokenward" / "run").exists()
    assert '"1.0"' in checkout.start("dev").stdout


def test_without_uv_pip_does_it_all(tmp_path):
    checkout = Checkout(tmp_path, uv=False)
    started = checkout.start("dev")
    assert '"1.0"' in started.stdout, started.stderr
    assert "with pip" in started.stderr
