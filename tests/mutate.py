"""What `./tokenward mutate` runs: the source is changed a little, and whether any test minds.

    ./tokenward mutate                       all that [tool.mutmut] in pyproject.toml names
    ./tokenward mutate verifier handles      only modules whose names contain one of these
    ./tokenward mutate --kept ~/mutants      go on in that folder; what was noticed there stays so

It works on a copy, so the checkout stays as it is. It takes an hour, more or less; Ctrl-C ends it
with the figures so far. Survivors are shown with what was changed: each is a test that is missing,
or a change that changes nothing.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests import databases  # noqa: E402 - found only now

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


@contextmanager
def servers() -> Iterator[None]:
    """One PostgreSQL and one Redis for all changes; else each would wait for its own."""
    os.environ["PYTEST_XDIST_TESTRUNUID"] = f"mutate-{os.getpid()}"
    with databases.shared(databases.PostgreSQL), databases.shared(databases.Redis):
        yield


def run(folder: Path, children: int, names: list[str]) -> None:
    """Try the changes with these names; without any, those that were not tried yet.

    Raises ``CalledProcessError`` if the tests do not even pass without a change.
    """
    subprocess.run(
        [MUTMUT, "run", "--max-children", str(children), *names],
        cwd=folder,
        check=True,
        stdout=sys.stderr,
    )


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


def chosen(found: dict[str, str], only: list[str]) -> dict[str, str]:
    """Those that were tried, and whose names contain one of these, if there are any."""
    return {
        name: verdict
        for name, verdict in found.items()
        if verdict not in LEFT_OUT and (not only or any(part in name for part in only))
    }


def module(name: str) -> str:
    """The module in which a change was made."""
    return re.split(r"\.x[_ǁ]", name)[0].removeprefix("tokenward.")


def told(found: dict[str, str], *, as_json: bool) -> int:
    """Print the figures; the exit status."""
    modules: dict[str, Counter[str]] = {}
    for name, verdict in found.items():
        if verdict not in LEFT_OUT:
            modules.setdefault(module(name), Counter())[verdict] += 1
    total = sum(modules.values(), Counter[str]())
    share = minded(total)
    if as_json:
        figures = {name: dict(counts) for name, counts in modules.items()}
        said = {"killed": share, "of": total.total(), "all": dict(total), "modules": figures}
        sys.stdout.write(json.dumps(said) + "\n")
        return int(share < GOAL)
    for name, counts in [*sorted(modules.items()), ("", total)]:
        noticed = sum(counts[verdict] for verdict in KILLED)
        sys.stdout.write(
            f"{name:<48} {noticed:>5} of {counts.total():<5} {minded(counts):5.1f} %\n"
        )
    sys.stdout.write(", ".join(f"{count} {verdict}" for verdict, count in total.items()) + "\n")
    if untried := len(found) - total.total():
        sys.stdout.write(f"{untried} were not tried\n")
    return int(share < GOAL)


def minded(counts: Counter[str]) -> float:
    """How much of it some test minded, in per cent."""
    return 100 * sum(counts[verdict] for verdict in KILLED) / (counts.total() or 1)


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
    parser.add_argument("--children", type=int, default=3, help="processes at a time")
    parser.add_argument("--kept", type=Path, help="the folder to work in, now and the next time")
    asked = parser.parse_args(arguments)
    if asked.kept:
        asked.kept.mkdir(parents=True, exist_ok=True)
    place = nullcontext(asked.kept) if asked.kept else tempfile.TemporaryDirectory()
    with place as where:
        folder = copied(Path(where).resolve())
        tried = chosen(results(folder), asked.only)
        # Who ran out of time may have been on a busy machine.
        survivors = [name for name, verdict in tried.items() if verdict not in KILLED - {"timeout"}]
        failed = False
        try:
            with servers():
                if not asked.only:
                    run(folder, asked.children, [])
                elif not tried:
                    run(folder, asked.children, [f"*{part}*" for part in asked.only])
                if survivors:
                    run(folder, asked.children, survivors)
        except KeyboardInterrupt:
            sys.stderr.write("\nended; the figures so far:\n")
        except subprocess.CalledProcessError:
            sys.stderr.write("\nthe tests do not pass as they are; the figures so far:\n")
            failed = True
        found = results(folder)
        left = [name for name, verdict in chosen(found, []).items() if verdict not in KILLED]
        with Path(asked.survivors).open("w", encoding="utf-8") as file:
            for name in left:
                shown = subprocess.run(
                    [MUTMUT, "show", name], cwd=folder, capture_output=True, check=False, text=True
                )
                file.write(f"── {name}: {found[name]}\n{shown.stdout}\n")
        sys.stderr.write(f"what survived is in {asked.survivors}\n")
    return told(found, as_json=asked.json) or int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
