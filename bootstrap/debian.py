"""How a Debian package gets in: installed where we may, else the one command that does it.

Law: nothing is asked on the way, and nobody becomes root by us.
"""

import os
import shutil
from pathlib import Path

from bootstrap.steps import Steps

LISTS = Path("/var/lib/apt/lists")


def command(package: str) -> str:
    """What somebody can paste to install a package."""
    install = f"apt-get install -y --no-install-recommends {package}"
    if os.geteuid() == 0:
        return f"apt-get update && {install}"
    return f"{'sudo sh' if shutil.which('sudo') else 'su'} -c 'apt-get update && {install}'"


def possible() -> bool:
    """Whether this is a Debian, or one of its children."""
    return shutil.which("apt-get") is not None


def install(package: str, steps: Steps) -> None:
    """Install a package, as root; raises Failure with the next thing to do."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    what = f"installing {package}"
    words = ["apt-get", "install", "-y", "--no-install-recommends", package]
    if not steps.run(what, words, environment):
        # The list of packages is often missing at first, and old later.
        short = [] if any(LISTS.glob("*_Packages*")) else ["-o", "Acquire::Languages=none"]
        steps.run("fetching the list of packages", ["apt-get", *short, "update"], environment)
        if not steps.run(what, words, environment):
            raise steps.failed(f"{package} could not be installed:")
