"""Make the environment that tokenward runs in: a Python of its own, with the locked packages.

In order: nobody else sets it up at the same time → a virtual environment → the packages → where the
source is → the stamp.

Law: an environment without its stamp is never used; only what an earlier set-up made is removed.
"""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bootstrap import debian
from bootstrap.packages import Packages
from bootstrap.steps import Failure, Steps

STAMPS = {"run": ("run",), "dev": ("run", "dev")}
"""What a set-up of each kind is good for: who can run the tests can run the program."""

PROBE = "import sys, sysconfig; print(sys.version_info >= (3, 11), sysconfig.get_path('purelib'))"


def make(
    checkout: str,
    place: str,
    kind: str,
    ready: Callable[[str], bool],
    fingerprint: Callable[[str], str],
) -> None:
    """Set up the environment of a checkout, or end the program with what to do about it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    state = Path(place) / ".tokenward"
    steps = Steps(state / "log")
    try:
        with _alone(state, steps):
            if not ready(kind):
                _SetUp(Path(checkout), Path(place), state, steps).run(kind, fingerprint)
    except Failure as failure:
        sys.exit(f"tokenward: {failure}")
    except OSError as error:
        sys.exit(f"tokenward: {error}\nAnother place can be named by TOKENWARD_VENV.")
    except KeyboardInterrupt:
        sys.stderr.write("\ntokenward: stopped; the next start goes on from here\n")
        sys.exit(130)


@contextlib.contextmanager
def _alone(state: Path, steps: Steps) -> Iterator[None]:
    """Hold the lock on an environment, until we and all that we started have ended."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            steps.say("another start is setting up the same environment; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        steps.hold(lock.fileno())
        yield


@dataclass(frozen=True, slots=True)
class _SetUp:
    """One set-up of one environment, while its lock is held."""

    checkout: Path
    place: Path
    state: Path
    steps: Steps

    def run(self, kind: str, fingerprint: Callable[[str], str]) -> None:
        """Everything, in order."""
        started = time.monotonic()
        self.steps.say(f"setting up in {self.place} (once; it takes seconds, not minutes)")
        for stamp in STAMPS["dev"]:
            (self.state / stamp).unlink(missing_ok=True)
        folder = self.folder() or self.create()
        lock = "requirements-dev.lock" if kind == "dev" else "requirements.lock"
        Packages(self.checkout, self.place, folder, self.steps).install(self.checkout / lock)
        (folder / "tokenward.pth").write_text(f"{self.checkout / 'src'}\n")
        for stamp in STAMPS[kind]:
            self.stamp(stamp, fingerprint(stamp))
        self.steps.say(f"ready after {time.monotonic() - started:.0f} s")

    def folder(self) -> Path | None:
        """Where the environment keeps its packages; None when it is not there or does not work."""
        try:
            said = subprocess.check_output(  # noqa: S603 - the Python of this environment
                [self.place / "bin" / "python", "-I", "-c", PROBE],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        new_enough, _, folder = said.strip().partition(" ")
        inside = Path(folder).resolve().is_relative_to(self.place.resolve())
        return Path(folder) if new_enough == "True" and inside and Path(folder).is_dir() else None

    def create(self) -> Path:
        """Make the virtual environment anew, by uv where there is one."""
        self.clear()
        self.stamp("made", sys.version)
        what = "making a Python environment"
        uv = shutil.which("uv")
        words = ["venv", "--allow-existing", "--no-project", "--python", sys.executable]
        offline = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
        if not (uv and self.steps.run(what, [uv, *words, self.place], offline)):
            if importlib.util.find_spec("ensurepip") is None:
                self.bring_venv()
            # Without pip: it is run from its wheel, which is done before it would be installed.
            command = [sys.executable, "-m", "venv", "--without-pip", str(self.place)]
            if not self.steps.run(what, command):
                raise self.steps.failed("no Python environment could be made:")
        folder = self.folder()
        if folder is None:
            raise Failure(f"the Python environment made in {self.place} does not work")
        return folder

    def clear(self) -> None:
        """Remove an environment that does not work, if it was made here."""
        rest = [path for path in self.place.iterdir() if path != self.state]
        if rest and not (self.state / "made").exists():
            raise Failure(
                f"{self.place} is there, does not work, and was not made by tokenward.\n"
                "Remove it, or name another place by TOKENWARD_VENV."
            )
        for path in rest:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def bring_venv(self) -> None:
        """Debian keeps the means to make environments in a package: install it, or say how."""
        if not debian.possible():
            raise Failure(
                f"this Python ({sys.executable}) comes without ensurepip and cannot make\n"
                "environments. Install your system's package for Python's venv, or uv, then start\n"
                "again."
            )
        system = Path("/usr/bin/python3").resolve() == Path(sys.executable).resolve()
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        package = "python3-venv" if system else f"python{version}-venv"
        if os.geteuid() != 0:
            raise Failure(
                f"this Python cannot make environments: Debian keeps that in {package}.\n"
                f"Run this once, then start again:\n\n    {debian.command(package)}\n"
            )
        debian.install(package, self.steps)
        importlib.invalidate_caches()

    def stamp(self, name: str, content: str) -> None:
        """Write down that something was finished: wholly, or not at all."""
        new = self.state / f"{name}.new"
        new.write_text(content)
        new.replace(self.state / name)
