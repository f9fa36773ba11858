"""What `./tokenward soak` runs: one server, a mixed load for an hour, and what became of it.

    ./tokenward soak                     60 minutes at half of what the server could do
    ./tokenward soak --minutes 10 --rate 300

The real server with a database on disk, its audit trail in a file, an issuer and an upstream beside
it. Services, people who come again, people who never came before, APIs that ask about tokens,
tokens taken back; and wrong secrets, tokens of yesterday, garbage, clients that are slow and
clients that hang up. Every ten seconds a line of JSON says what the server holds and how it
answers. Ctrl-C ends it early, with the verdict so far.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import uvloop

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench.asking import Pool, Wrong, closed, paced  # noqa: E402 - found only now
from bench.ours import Ours  # noqa: E402
from bench.processes import Cores, DidNotStart  # noqa: E402
from bench.soaking.kinds import UNTIMED, Crowd, Kind, order, slow  # noqa: E402
from bench.soaking.verdict import Finding, all_answered, ended_well, judge, warm_up  # noqa: E402
from bench.soaking.watching import Sample, Watch, write  # noqa: E402

CONNECTIONS = 32
EVERY = 10.0
"""Seconds between two looks."""

COMFORT = 0.8
"""The most of what we managed to ask that we promise to go on asking."""


class Soak:
    """One run."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.options = asked
        self.folder = folder
        self.cores = Cores.ours()
        self.ours = Ours(folder=folder, cores=self.cores, lifetime="5m")
        self.watch = Watch(ours=self.ours)
        self.rate = float(asked.rate or 0)
        self.capacity = 0.0
        self.stopped = False
        self._kinds = cycle(kind for kind in order() if kind is not slow)

    async def run(self) -> None:
        """Find out the rate, then hold it until time is up or somebody is tired of it."""
        loop = asyncio.get_running_loop()
        for ending in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(ending, self._stop)
        pool = Pool(port=self.ours.port, size=CONNECTIONS)
        crowd = Crowd(ours=self.ours, pool=pool)
        await self._measure(crowd)
        say(
            f"asking {self.rate:.0f} times a second for {self.options.minutes:g} minutes; "
            f"every {self.options.every:g} s a line goes to {self.options.samples}"
        )
        self._kinds = cycle(order())
        self.watch.begin()
        watching = asyncio.create_task(self._look())
        until = time.monotonic() + self.options.minutes * 60

        def over() -> bool:
            if not self.stopped and time.monotonic() < until:
                return False
            watching.cancel()  # what is still under way then is no longer the load
            return True

        await paced(self.rate, over, lambda due: self._ask(crowd, due))
        pool.close()

    async def _measure(self, crowd: Crowd) -> None:
        """What the server could do with a core of its own; half of it is the rate."""
        say("warming up, and measuring what it could do")
        cost = managed = 0.0
        for _ in range(2):
            began, used, before = time.monotonic(), self.ours.program.seconds(), self.watch.asked
            until = began + self.options.measure
            await closed(
                CONNECTIONS,
                lambda until=until: self.stopped or time.monotonic() >= until,  # type: ignore[misc]
                lambda due: self._ask(crowd, due),
            )
            managed = (self.watch.asked - before) / (time.monotonic() - began)
            cost = (self.ours.program.seconds() - used) / (self.watch.asked - before)
        self.capacity = 1 / cost
        say(
            f"it could answer {self.capacity:.0f} such questions a second on a core of its own "
            f"(asked as fast as we can: {managed:.0f})"
        )
        self.rate = self.rate or min(self.capacity / 2, COMFORT * managed)

    async def _ask(self, crowd: Crowd, due: float) -> None:
        kind: Kind = next(self._kinds)
        self.watch.asked += 1
        try:
            await kind(crowd)
        except (Wrong, KeyError, ValueError, OSError) as problem:
            self.watch.problem(kind.__name__, str(problem))
        else:
            self.watch.answer(None if kind in UNTIMED else time.monotonic() - due)

    async def _look(self) -> None:
        due = time.monotonic()
        tell = due + 60
        while True:
            due += self.options.every
            await asyncio.sleep(due - time.monotonic())
            sample = self.watch.look()
            write(sample, self.options.samples)
            self.stopped |= self.ours.program.ended
            if due >= tell:
                tell += 60
                say(told(sample))

    def _stop(self) -> None:
        self.stopped = True


def say(words: str) -> None:
    """To whoever is waiting; standard output is for the verdict."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {words}\n")
    sys.stderr.flush()


def told(sample: Sample) -> str:
    """A look, in words."""
    return (
        f"{sample.at / 60:5.1f} min  {sample.rate:.0f}/s  p50 {sample.p50_ms:.1f} ms  "
        f"p99 {sample.p99_ms:.1f} ms  {sample.busy:.0%} of a core  {sample.pss / 2**20:.1f} MiB  "
        f"{sample.descriptors} descriptors  {sample.threads} threads  "
        f"database {sample.database / 2**20:.1f} MiB  {sample.errors} errors"
    )


def soak(asked: argparse.Namespace, folder: Path) -> tuple[Soak, list[Finding]]:
    """All of it; raises ``DidNotStart``."""
    Path(asked.samples).write_text("", encoding="utf-8")
    run = Soak(asked, folder)
    if not run.cores.apart:
        say("there is one core only: the server shares it with those who ask")
    exit_code = 1
    try:
        run.ours.start()
        os.sched_setaffinity(0, run.cores.load)
        with _not_in_the_way(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run.run())
    finally:
        exit_code = run.ours.stop()
    complaints = [line for line in run.ours.program.said.splitlines() if not _expected(line)]
    findings = [
        *judge(run.watch.samples, rate=run.rate),
        all_answered(run.watch),
        ended_well(complaints, exit_code),
    ]
    return run, findings


@contextmanager
def _not_in_the_way() -> Iterator[None]:
    """A collection of our own garbage in the middle would look like a slow answer."""
    import gc  # noqa: PLC0415 - where it is about it

    gc.freeze()
    yield
    gc.unfreeze()


def _expected(line: str) -> bool:
    return line.startswith(("tokenward: serving on", "warning: "))


def report(run: Soak, findings: list[Finding], *, as_json: bool) -> str:
    """The verdict, for people or programs."""
    samples, held = run.watch.samples, all(it.held for it in findings)
    lasted = samples[-1].at if samples else 0.0
    if as_json:
        said = {
            "held": held,
            "seconds": lasted,
            "warm_up_seconds": warm_up(lasted),
            "rate": run.rate,
            "capacity": run.capacity,
            "asked": run.watch.asked,
            "problems": dict(run.watch.problems),
            "findings": [asdict(it) for it in findings],
            "samples": str(run.options.samples),
        }
        return json.dumps(said, indent=2)
    lines = [f"{lasted / 60:.1f} minutes at {run.rate:.0f} questions a second"]
    lines += [f"  {'held  ' if it.held else 'MISSED'}  {it.name}: {it.words}" for it in findings]
    lines += [f"          {many} times {what}" for what, many in run.watch.problems.most_common()]
    return "\n".join([*lines, "", "held" if held else "MISSED"])


def options(arguments: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="./tokenward soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--rate", type=float, help="questions a second, instead of half capacity")
    parser.add_argument(
        "--measure", type=float, default=6.0, help="seconds to find out its capacity (6), twice"
    )
    parser.add_argument("--every", type=float, default=EVERY, help="seconds between two looks (10)")
    parser.add_argument("--samples", default="soak.jsonl", help="where samples go (soak.jsonl)")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    said = parser.parse_args(arguments)
    said.samples = Path(said.samples).absolute()
    return said


def main(arguments: list[str]) -> int:
    """0 if everything held, else 1."""
    asked = options(arguments)
    random.seed(7)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            run, findings = soak(asked, Path(folder))
        except DidNotStart as problem:
            sys.stderr.write(f"{problem}\n")
            return 1
    sys.stdout.write(report(run, findings, as_json=asked.json) + "\n")
    return 0 if all(it.held for it in findings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
