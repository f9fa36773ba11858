"""How packages get into an environment: by uv, and where uv cannot, by pip.

Law: nothing is installed whose hash is not in a lock file.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap import certificates, pip_settings
from bootstrap.steps import DISTRUSTED, FORGED, FULL, OFFLINE, Steps

BUNDLED = """
import ensurepip, pathlib, sysconfig
own = pathlib.Path(ensurepip.__file__).parent / "_bundled"
kept = pathlib.Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or own)
print(*sorted(kept.glob("pip-*.whl")), sep="\\n")
"""


def _told() -> dict[str, str]:
    return pip_settings.told(os.environ, pip_settings.files(os.environ))


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages of one environment; `folder` is where it keeps them."""

    checkout: Path
    place: Path
    folder: Path
    steps: Steps
    told: dict[str, str] = field(default_factory=_told)

    def install(self, lock: Path) -> None:
        """Install what a lock file names; raises Failure with the next thing to do."""
        what = f"installing the packages of {lock.name}"
        uv = self.uv()
        if uv is not None:
            command: list[str | Path] = [uv, "pip", "install", "--python", self.python]
            command += ["--require-hashes", "-r", lock, *pip_settings.flags_for_uv(self.told)]
            if self.steps.run(what, command, pip_settings.for_uv(os.environ, self.told)):
                return
            if self.steps.because(FULL, FORGED):
                raise self.steps.failed("the packages could not be installed:")
        if not self.pip(f"{what} with pip", lock):
            raise self.steps.failed("the packages could not be installed:")

    def uv(self) -> Path | None:
        """The uv to use: the one on PATH, or the one that is pinned; None where there is none."""
        own = self.place / "bin" / "uv"
        on_path = shutil.which("uv")
        if on_path or own.exists():
            return Path(on_path or own)
        if self.pip("fetching uv, which installs faster", self.checkout / "requirements-uv.lock"):
            return own
        if self.steps.because(FULL, FORGED, DISTRUSTED, OFFLINE):
            # What pip cannot do for uv, it cannot do for the rest.
            raise self.steps.failed("the packages could not be fetched:")
        return None

    def pip(self, what: str, lock: Path) -> bool:
        """Install a lock file with pip; whether it went well."""
        environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        trusted = certificates.system()
        if trusted and "cert" not in self.told:
            environment["PIP_CERT"] = trusted
        if "retries" not in self.told:
            environment["PIP_RETRIES"] = "2"
        pip = ["-m", "pip"] if (self.folder / "pip").is_dir() else self._bundled_pip()
        if not pip:
            self.steps.said = "There is neither a uv nor a pip to install with."
            return False
        words = ["install", "--no-input", "--quiet", "--require-hashes", "-r", str(lock)]
        return self.steps.run(what, [self.python, *pip, *words], environment)

    def _bundled_pip(self) -> list[str]:
        """The pip that comes with Python, as a wheel that can be run; [] where it comes without."""
        found = subprocess.run(  # noqa: S603 - the Python of this environment
            [self.python, "-I", "-c", BUNDLED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split("\n")
        return [f"{found[0]}/pip"] if found[0] else []

    @property
    def python(self) -> Path:
        """The interpreter of this environment."""
        return self.place / "bin" / "python"
