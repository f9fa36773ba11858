"""Pasting what the documents show into a shell, in a folder where a dev server runs.

Law: an example is pasted as it stands; what a test changes is a port that somebody else may have.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.dev import Dev, around, developing
from tests.docs import ROOT, Example, examples

PATIENCE = 90.0

_FENCE = re.compile(r"^```(?P<language>[a-z]+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A shell in a checkout where ``./tokenward dev`` runs, and dev.env has been sourced."""

    dev: Dev

    def paste(
        self,
        code: str | Example,
        *,
        replace: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        sourced: bool = True,
        into: str = "bash",
    ) -> str:
        """Paste it; what it says on standard output. AssertionError if it complains."""
        text = code if isinstance(code, str) else code.text(replace)
        before = ". .tokenward/dev.env\n" if sourced else ""
        process = subprocess.Popen(
            [into, "-c", before + text],
            cwd=self.dev.folder,
            env=around({"PATH": os.environ["PATH"], **(environ or {})}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            # What an example leaves running in the background, it leaves running.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode in (0, None), f"{process.returncode}: {out}\n{err}"
        assert "Traceback" not in err, err
        assert "command not found" not in err, err
        return out


@contextmanager
def checkout(folder: Path) -> Iterator[Shell]:
    """A folder like a checkout of ours: ./tokenward, .venv, and the dev server running in it."""
    ours = folder / "tokenward"
    ours.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tokenward "$@"\n')
    ours.chmod(0o755)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "api").symlink_to(sys.prefix)
    with developing(folder) as dev:
        yield Shell(dev=dev)


def unmarked(path: str) -> list[str]:
    """The code of a document's shell, Python and TOML blocks that no test can find by name."""
    text = (ROOT / path).read_text("utf-8")
    found = {it.code for it in examples(path).values()}
    return [
        match["code"]
        for match in _FENCE.finditer(text)
        if match["language"] in ("sh", "python", "toml") and match["code"] not in found
    ]
