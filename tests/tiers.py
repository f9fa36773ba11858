"""What `./tokenward test` runs: the tests, tier by tier, and at the end what ran and what did not.

    ./tokenward test              the fast tier: needs nothing
    ./tokenward test --programs   and whole programs: the set-up, every command, dev mode, the seeds
    ./tokenward test --clients    and real clients from npm and PyPI, against a running server
    ./tokenward test --browser    and journeys in a real browser
    ./tokenward test --fuzz       and a hail of bytes on every parser, a million tries
    ./tokenward test --all        everything, style, types and coverage too; nothing may be skipped
    ./tokenward test tests/oauth -x -k scope    whatever else pytest understands goes to pytest

Clients, browser and fuzz run at the same time: the first two wait more than they work.

Law: what did not run is named, with the command that would run it.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bootstrap import debian  # noqa: E402 - found only now
from bootstrap.steps import Failure, Steps  # noqa: E402
from tests.clients import nodejs  # noqa: E402

COVERED = 97
"""Per cent of lines and branches that the tests must have been through."""

BIN = Path(sys.executable).parent
CHECKS: dict[str, Sequence[Sequence[str | Path]]] = {
    "style": [
        [BIN / "ruff", "format", "--check", "--quiet", ".", "tokenward"],
        [BIN / "ruff", "check", "--quiet", ".", "tokenward"],
    ],
    "types": [[BIN / "mypy"], [BIN / "mypy", "bootstrap"]],
    "imports": [[BIN / "lint-imports"]],
}
"""What is looked at without being run; under --all only."""

MARKS = {
    "fast": "not programs and not clients and not browser and not fuzz",
    "programs": "programs",
    "clients": "clients",
    "browser": "browser",
    "fuzz": "fuzz",
}
NAMED = "not clients and not browser and not fuzz"
"""What runs of the tests that somebody names."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PROGRAMS = frozenset({"attacks", "bench", "bootstrap", "cli", "practice", "stories"})
"""The folders whose tests start and stop whole programs: a tier of their own."""
HOMES = {"programs": PROGRAMS} | {it: frozenset({it}) for it in ("clients", "browser", "fuzz")}
"""The folders of each tier but the fast one, which has all others."""

CORES = os.cpu_count() or 1
TOGETHER = {"fast": min(2 * CORES, 4), "programs": min(CORES + 1, 4), "browser": 2, "fuzz": 2}
"""How many at a time: what is waited for more than it works, more than there are cores."""

ASIDE = frozenset({"clients", "browser", "fuzz"})
"""The tiers that run at the same time."""

BYTECODE = Path(sys.prefix, ".tokenward", "bytecode")
"""Where Python keeps what it has compiled, lest every process of a test compile it all anew."""

ONE_AT_A_TIME = threading.Lock()
"""Held by whoever installs something, or tells how a tier went."""

NO_TESTS = 5
"""pytest's exit status when it found nothing to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one tier ended."""

    tier: str
    words: str
    good: bool = True
    passed: int = 0
    failed: int = 0
    notes: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One `./tokenward test`: what was asked for, and where to say how it goes."""

    strict: bool
    mark: str
    arguments: list[str]
    measured: Path
    """The folder for what coverage has measured, by tier: nobody waits for a file of another's."""

    aloud: bool = True
    """Whether a tier says at once how it goes, and not only when it has ended."""

    steps: Steps = field(default_factory=lambda: Steps(Path(sys.prefix) / ".tokenward" / "log"))

    def check(self, tier: str) -> Outcome:
        """Look at the source: silent when all is well."""
        started = time.monotonic()
        good = True
        for command in CHECKS[tier]:
            done = subprocess.run(
                command,
                env=_environment(),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                good = False
                _say(done.stdout + done.stderr)
        return Outcome(
            tier=tier,
            words="good" if good else "FAILED, see above",
            good=good,
            passed=int(good),
            failed=int(not good),
            seconds=time.monotonic() - started,
        )

    def tests(self, tier: str, notes: Iterable[str] = (), **environment: str) -> Outcome:
        """Run the tests of one tier."""
        started = time.monotonic()
        title = f"\n── {tier} ──\n"
        if self.aloud:
            _say(title)
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            done = subprocess.run(
                [*self._pytest(tier), f"--junitxml={report}", *self.arguments],
                env={**_environment(), **environment, **self._strictness(tier)},
                cwd=ROOT,
                stdout=None if self.aloud else subprocess.PIPE,
                stderr=None if self.aloud else subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            if not self.aloud:
                _say(title + done.stdout)
            passed, failed, skipped = _count(report)
        notes = (*notes, *(f"skipped: {name}" for name in skipped))
        stopped = done.returncode not in {0, 1, NO_TESTS} and not failed
        failed += int(stopped) + (len(skipped) if self.strict else 0)
        words = f"{passed} passed, {failed} failed, {len(skipped)} skipped"
        return Outcome(
            tier=tier,
            words="STOPPED, see above" if stopped else words,
            good=not failed,
            passed=passed,
            failed=failed,
            notes=notes,
            seconds=time.monotonic() - started,
        )

    def fast(self) -> Outcome:
        """What needs nothing, and under --all a hardware module in software."""
        try:
            if self.strict and shutil.which("softhsm2-util") is None and os.geteuid() == 0:
                self._install("softhsm2")
        except Failure as failure:
            return _missing("fast", str(failure))
        return self.tests("fast")

    def clients(self) -> Outcome:
        """Real clients; those from npm need a node, which is brought if it may be."""
        notes: tuple[str, ...] = ()
        try:
            if self.strict and shutil.which("npm") is None and os.geteuid() == 0:
                self._install("npm")
            if not nodejs.installed():
                self.steps.say("installing the npm clients (once)")
                nodejs.install()
            nodejs.find()
        except (nodejs.Missing, Failure) as missing:
            if self.strict:
                return _missing("clients", str(missing))
            notes = (f"no npm clients: {missing}",)
        return self.tests("clients", notes)

    def browser(self) -> Outcome:
        """Journeys in Debian's Chromium."""
        if not any((ROOT / "tests" / "browser").glob("test_*.py")):
            return Outcome(tier="browser", words="there are no tests yet")
        try:
            if self.strict and _chromium() is None and os.geteuid() == 0:
                self._install("chromium")
        except Failure as failure:
            return _missing("browser", str(failure))
        chromium = _chromium()
        if chromium is None:
            remedy = f"there is no chromium; run: {debian.command('chromium')}"
            return _missing("browser", remedy) if self.strict else _not_run("browser", remedy)
        return self.tests("browser", TOKENWARD_CHROMIUM=chromium)

    def coverage(self) -> Outcome:
        """Whether the tests went through enough of the source."""
        files = sorted(self.measured.glob("*/.coverage"))
        report = ["report", "--skip-covered", "--precision=1", f"--fail-under={COVERED}"]
        for words in (["combine", "--quiet", *files], report):
            done = subprocess.run(
                [BIN / "coverage", *words], cwd=ROOT, capture_output=True, text=True, check=False
            )
            if done.returncode:
                _say(done.stdout + done.stderr)
                break
        good = done.returncode == 0
        total = next((line for line in done.stdout.splitlines() if line.startswith("TOTAL")), "")
        return Outcome(
            tier="coverage",
            words=f"{(total.split() or ['none'])[-1]} (at least {COVERED}%)",
            good=good,
            passed=int(good),
            failed=int(not good),
        )

    def _install(self, package: str) -> None:
        with ONE_AT_A_TIME:
            debian.install(package, self.steps)

    def _pytest(self, tier: str) -> list[str]:
        mark = NAMED if tier == "fast" and self.arguments else MARKS[tier]
        mark = f"({mark}) and ({self.mark})" if self.mark else mark
        command = [sys.executable, "-m", "pytest", "-m", mark]
        if self.strict:
            command += ["--cov", "--cov-report="]
            command += ["--durations=12", "--durations-min=3"]
        # For one file, starting the workers would cost more than it saves.
        if tier in TOGETHER and not self.arguments:
            command += ["-n", str(TOGETHER[tier])]
            if tier in {"fast", "programs"}:  # in the order of tests/conftest.py
                command += ["--dist=loadfile", "--no-loadscope-reorder"]
        if not self.arguments:
            command += _where(tier)
        return [*command, "-q"] if not self.arguments else command

    def _strictness(self, tier: str) -> dict[str, str]:
        if not self.strict:
            return {}
        measured = self.measured / tier / ".coverage"
        measured.parent.mkdir()
        return {"TOKENWARD_SKIP_NOTHING": "1", "COVERAGE_FILE": str(measured)}


def _environment() -> dict[str, str]:
    """Ours, and a Python that compiles once what it reads, whatever else it would do."""
    ours = {name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, "PYTHONPYCACHEPREFIX": str(BYTECODE)}


def _say(words: str) -> None:
    with ONE_AT_A_TIME:
        sys.stdout.write(words)
        sys.stdout.flush()


def _at_once(parts: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    """Run them side by side; how they ended, in the order in which they are named."""
    if len(parts) == 1:
        return [parts[0]()]
    with ThreadPoolExecutor(len(parts)) as pool:
        return [running.result() for running in [pool.submit(part) for part in parts]]


def _where(tier: str) -> list[str]:
    """Only tests of this tier are read at all."""
    homes = [HOMES[tier]] if tier in HOMES else HOMES.values()
    folders = sorted(f"tests/{folder}" for home in homes for folder in home)
    if tier == "fast":
        return [f"--ignore={folder}" for folder in folders]
    return [folder for folder in folders if (ROOT / folder).is_dir()]


def _tidy() -> None:
    """Forget what was compiled of files that earlier tests wrote: nobody reads them again."""
    theirs = BYTECODE.joinpath(*Path(tempfile.gettempdir()).resolve().parts[1:])
    for folder in theirs.glob("pytest-of-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _count(report: Path) -> tuple[int, int, list[str]]:
    """How many passed and failed, and who was skipped; a failure that is expected is a pass."""
    passed, failed = 0, 0
    skipped: list[str] = []
    if not report.exists():
        return passed, failed, skipped
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own words
        left_out = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif left_out is not None and left_out.get("type") != "pytest.xfail":
            name = f"{case.get('classname')}::{case.get('name')}"
            skipped.append(f"{name} ({left_out.get('message')})")
        else:
            passed += 1
    return passed, failed, skipped


def _not_run(tier: str, remedy: str = "") -> Outcome:
    """A tier that nobody asked for, or that could not run: by name, with what would help."""
    names = sorted(
        path.stem for folder in HOMES[tier] for path in (ROOT / "tests" / folder).glob("test_*.py")
    )
    words = f"not run: {remedy or f'./tokenward test --{tier}'}"
    return Outcome(tier=tier, words=words, notes=(", ".join(names),) if names else ())


def _missing(tier: str, why: str) -> Outcome:
    return Outcome(tier=tier, words=f"FAILED: {why}", good=False, failed=1)


def _chromium() -> str | None:
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


def _tell(outcomes: list[Outcome]) -> int:
    """The summary, one tier a line, closed by the line that counts; the exit status."""
    sys.stdout.write("\n── all of it ──\n")
    for outcome in outcomes:
        took = "" if outcome.seconds is None else f"  ({outcome.seconds:.0f} s)"
        sys.stdout.write(f"{outcome.tier:<9} {outcome.words}{took}\n")
        sys.stdout.writelines(f"{'':<9} {note}\n" for note in outcome.notes)
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    sys.stdout.write(f"\n{passed} passed, {failed} failed\n")
    return 0 if passed and all(outcome.good for outcome in outcomes) else 1


def _plan(run: Run, wanted: AbstractSet[str]) -> list[list[Callable[[], Outcome]]]:
    """One stage after the other; what waits more than it works runs beside what only works."""
    beside = replace(run, aloud=len(wanted & ASIDE) < 2)
    tiers = {
        "fast": run.fast,
        "programs": partial(run.tests, "programs"),
        "clients": beside.clients,
        "browser": beside.browser,
        "fuzz": partial(beside.tests, "fuzz"),
    }
    parts = {it: tiers[it] if it in wanted else partial(_not_run, it) for it in tiers}
    stages = [[parts["fast"]], [parts["programs"]], [parts[it] for it in tiers if it in ASIDE]]
    if run.strict:
        style, *others = (partial(run.check, name) for name in CHECKS)
        stages = [[style], *stages[:2], [*others, *stages[2]], [run.coverage]]
    return stages


def _here(argument: str, came_from: Path) -> str:
    """An argument that names a test by where the caller is, as it is named from the checkout."""
    path, colons, rest = argument.partition("::")
    known = not path.startswith("-") and (came_from / path).exists()
    return f"{came_from / path}{colons}{rest}" if known else argument


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="./tokenward test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--programs", action="store_true", help="whole programs, too")
    parser.add_argument("--clients", action="store_true", help="real clients, too")
    parser.add_argument("--browser", action="store_true", help="a real browser, too")
    parser.add_argument("--fuzz", action="store_true", help="a hail of bytes, too")
    parser.add_argument("--all", action="store_true", help="everything, and nothing skipped")
    parser.add_argument("-m", dest="mark", default="", help="only tests with these marks")
    asked, rest = parser.parse_known_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal can draw a line
    if asked.all and rest:
        parser.error(f"--all runs everything, so it takes no {rest[0]}")
    if Path.cwd() != ROOT:
        rest = [_here(argument, Path.cwd()) for argument in rest]
    _tidy()
    with tempfile.TemporaryDirectory() as measured:
        run = Run(strict=asked.all, mark=asked.mark, arguments=rest, measured=Path(measured))
        wanted = {tier for tier in MARKS if tier == "fast" or asked.all or getattr(asked, tier)}
        try:
            return _tell([it for stage in _plan(run, wanted) for it in _at_once(stage)])
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
