"""Which packages, at which versions, with which hashes: resolve the dependencies anew.

    ./tokenward lock                         follow pyproject.toml, keep versions where they fit
    ./tokenward lock --upgrade               take the newest of everything
    ./tokenward lock --upgrade-package NAME  take the newest of one

Law: a lock file says what, never from where: no address of a package index is written into it.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
sys.path.insert(0, str(CHECKOUT))

from bootstrap import pip_settings  # noqa: E402 - found only now
from bootstrap.packages import Packages  # noqa: E402
from bootstrap.steps import Failure, Steps  # noqa: E402

PLACE = Path(sys.prefix)
OPTIONS = (
    "--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet"
    " --no-emit-index-url --no-emit-find-links"
)
SOURCES = {
    "requirements-uv.lock": "-",
    "requirements.lock": "pyproject.toml --extra server --extra hub",
    "requirements-all.lock": "pyproject.toml --all-extras -c requirements.lock",
    "requirements-dev.lock": "pyproject.toml --all-extras --group dev -c requirements.lock",
}


def main(arguments: list[str]) -> int:
    """Write the lock files; the exit status."""
    if set(arguments) & {"-h", "--help"}:
        sys.stdout.write(__doc__ or "")
        return 0
    steps = Steps(PLACE / ".tokenward" / "log")
    uv = PLACE / "bin" / "uv"
    packages = Packages(CHECKOUT, PLACE, Path(sysconfig.get_path("purelib")), steps)
    environment = pip_settings.for_uv(os.environ, packages.told)
    if not uv.exists():
        packages.install(CHECKOUT / "requirements-uv.lock")
    for name, source in SOURCES.items():
        words = ["pip", "compile", *source.split(), *OPTIONS.split(), "-o", name, *arguments]
        done = subprocess.run(  # noqa: S603 - the pinned uv, and the words of whoever develops
            [uv, *words, *pip_settings.flags_for_uv(packages.told)],
            input=b"uv\n",
            stdout=subprocess.DEVNULL,
            cwd=CHECKOUT,
            env=environment,
            check=False,
        )
        if done.returncode:
            return done.returncode
        text = (CHECKOUT / name).read_text()
        if "://" in text:
            steps.say(f"{name} names an address, which no lock file may: look at its sources")
            return 1
        steps.say(f"{name}: {text.count('==')} packages")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        sys.exit(f"tokenward: {failure}")
