"""What `./tokenward mutate` runs: the source is changed a little, and whether any test minds.

    ./tokenward mutate                       all that [tool.mutmut] in pyproject.toml names
    ./tokenward mutate verifier handles      only modules whose names contain one of these

It works on a copy, so the checkout stays as it is. It takes an hour, more or less; Ctrl-C ends it
with the figures so far. Survivors are shown with what was changed: each is a test that is missing,
or a change that changes nothing.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
MUTMUT = Path(sys.executable).parent / "mutmut"
GOAL = 85
"""Per cent of the changes that some test must mind."""

KILLED = {"killed", "timeout", "segfault", "caught by type check"}
LEFT_OUT = {"not checked", "skipped"}


def copied(folder: Path) -> Path:
    """The checkout, as far as git knows it, in this folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def results(folder: Path) -> dict[str, str]:
    """What became of every change, by its name."""
    done = subprocess.run(
        [MUTMUT, "results", "--all", "true"],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
    )
    return dict(re.findall(r"^\s+(\S+): (.+)$", done.stdout, re.MULTILINE))


def module(name: str) -> str:
    """The module in which a change was made."""
    return re.split(r"\.x[_ǁ]", name)[0].removeprefix("tokenward.")


def told(found: dict[str, str], *, as_json: bool) -> int:
    """Print the figures; the exit status."""
    modules: dict[str, Counter[str]] = {}
    for name, verdict in found.items():
        kind = "killed" if verdict in KILLED else verdict
        if verdict not in LEFT_OUT:
            modules.setdefault(module(name), Counter())[kind] += 1
    total = sum(modules.values(), Counter[str]())
    every = total.total()
    share = 100 * total["killed"] / every if every else 0.0
    if as_json:
        figures = {name: dict(counts) for name, counts in modules.items()}
        sys.stdout.write(json.dumps({"killed": share, "of": every, "modules": figures}) + "\n")
        return int(share < GOAL)
    for name, counts in sorted(modules.items()):
        minded = 100 * counts["killed"] / counts.total()
        sys.stdout.write(
            f"{name:<48} {counts['killed']:>5} of {counts.total():<5} {minded:5.1f} %\n"
        )
    sys.stdout.write(f"{'':<48} {total['killed']:>5} of {every:<5} {share:5.1f} %\n")
    return int(share < GOAL)


def main(arguments: list[str]) -> int:
    """Change, run, tell; the exit status is 0 if enough was noticed."""
    parser = argparse.ArgumentParser(
        prog="./tokenward mutate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("only", nargs="*", help="parts of the names of modules")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--survivors", default="survivors.txt", help="the file for what survived")
    parser.add_argument("--children", type=int, default=2, help="processes at a time")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = copied(Path(place))
        names = [f"*{part}*" for part in asked.only]
        try:
            subprocess.run(
                [MUTMUT, "run", "--max-children", str(asked.children), *names],
                cwd=folder,
                check=False,
                stdout=sys.stderr,
            )
        except KeyboardInterrupt:
            sys.stderr.write("\nended; the figures so far:\n")
        found = results(folder)
        left = [name for name, verdict in found.items() if verdict in {"survived", "no tests"}]
        with Path(asked.survivors).open("w", encoding="utf-8") as file:
            for name in left:
                shown = subprocess.run(
                    [MUTMUT, "show", name], cwd=folder, capture_output=True, check=False, text=True
                )
                file.write(f"── {name}: {found[name]}\n{shown.stdout}\n")
        sys.stderr.write(f"what survived is in {asked.survivors}\n")
    return told(found, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
