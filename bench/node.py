"""The node that others' programs run on, and the npm packages they are made of.

Law: what the lock file names and nothing else, installed once; no package's own script is run.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.wrk import Void
from bootstrap import certificates

FOLDER = Path(__file__).parent / "peers"
PACKAGES = FOLDER / "node_modules"
STAMP = PACKAGES / ".installed-from"
OLDEST = 22
"""What oidc-provider 9 wants."""

TO_INSTALL = 900
"""Seconds."""


def bring(say: Callable[[str], None]) -> Path:
    """The node to use, with the packages beside it; raises ``Void`` with what would help."""
    if not installed():
        say("installing the npm packages that tokenward is measured beside (once)")
        _install()
    for node in (*sorted(PACKAGES.glob("node-*/bin/node")), *_on_path()):
        if _major(node) >= OLDEST:
            return node
    raise Void(f"there is no node {OLDEST} or newer, and the one from npm does not start here")


def installed() -> bool:
    """Whether the packages here are those of today's lock file."""
    return STAMP.is_file() and STAMP.read_text() == _locked()


def version(node: Path) -> str:
    """As it says itself; empty if it does not start, as a build for another C library would not."""
    try:
        done = subprocess.run(  # noqa: S603 - found by us
            [node, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Void("there is no npm; as root: apt-get install -y --no-install-recommends npm")
    environ = dict(os.environ)
    if trusted := certificates.system():
        # node trusts a list of its own until it is told otherwise.
        environ.setdefault("NODE_EXTRA_CA_CERTS", trusted)
    done = subprocess.run(  # noqa: S603 - found by us
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        env=environ,
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TO_INSTALL,
        check=False,
    )
    if done.returncode:
        raise Void(f"npm could not install the packages:\n{done.stderr[-1_000:]}")
    STAMP.write_text(_locked())


def _locked() -> str:
    return hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()


def _on_path() -> list[Path]:
    found = shutil.which("node")
    return [Path(found)] if found else []


def _major(node: Path) -> int:
    major = version(node).removeprefix("v").partition(".")[0]
    return int(major) if major.isdecimal() else 0
