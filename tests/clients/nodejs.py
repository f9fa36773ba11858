"""The node that the client tests run on, and the npm packages they use.

Law: what the lock file names and nothing else, installed once; no package's own script is run.
"""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap import certificates

FOLDER = Path(__file__).parent
PACKAGES = FOLDER / "node_modules"
STAMP = PACKAGES / ".installed-from"
OLDEST_NODE = 20
"""What `openid-client` and `jose` still run on."""


class Missing(Exception):
    """Something that the client tests need is not there; `remedy` is the command that brings it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what, self.remedy = what, remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that works, with the packages of this folder beside it."""

    binary: Path

    def run(self, script: str, *arguments: str, seconds: float = 60, **environment: str) -> str:
        """What a script of this folder prints; AssertionError in its own words when it fails."""
        done = subprocess.run(
            [self.binary, FOLDER / script, *arguments],
            env={**os.environ, **environment},
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def ask(self, script: str, **asked: Any) -> Any:
        """What a script answers; question and answer are JSON, see `asking.mjs`."""
        return json.loads(self.run(script, ASKED=json.dumps(asked)))


def installed() -> bool:
    """Whether the packages here are those of today's lock file."""
    return STAMP.is_file() and STAMP.read_text() == _locked()


def install() -> None:
    """Install the packages of the lock file; raises Missing when npm is not there or could not."""
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("there is no npm", "as root: apt-get install -y --no-install-recommends npm")
    environment = dict(os.environ)
    trusted = certificates.system()
    if trusted:
        # node trusts a list of its own until it is told otherwise.
        environment.setdefault("NODE_EXTRA_CA_CERTS", trusted)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        env=environment,
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise Missing(f"npm could not install the packages:\n{done.stderr}", "see what npm says")
    STAMP.write_text(_locked())


def find() -> Node:
    """The node to use: the one the lock file pins, or the system's where that one does not run."""
    if not installed():
        raise Missing("the npm packages are not installed", "run: ./tokenward test --clients")
    candidates = [*PACKAGES.glob("node-*/bin/node"), *_on_path()]
    node = next((binary for binary in candidates if _version(binary) >= OLDEST_NODE), None)
    if node is None:
        raise Missing(f"there is no node {OLDEST_NODE} or newer", "install one from nodejs.org")
    return Node(binary=node)


def _locked() -> str:
    return hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()


def _on_path() -> list[Path]:
    found = shutil.which("node")
    return [Path(found)] if found else []


def _version(binary: Path) -> int:
    """The major version; 0 when it does not start, as a build for another C library would not."""
    try:
        said = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except OSError:
        return 0
    major = said.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdecimal() else 0
