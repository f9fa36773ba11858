"""What do two workers do that one does not?"""

import subprocess
import sys
import time
from dataclasses import replace

from bench.asking import Latencies, Pool
from bench.contestants import Contestant
from bench.contestants.ourselves import ourselves
from bench.field import Field
from bench.processes import tree, used_by
from bench.results import Figures
from bench.rows import PER_CPU, Measure, Row
from bench.wrk import Void

NAME = "two workers, client credentials, ES256"
ONE, TWO = "one worker", "two workers"
CONNECTIONS, SEQUENTIAL = 64, 300
MIB = 2**20


def workers(many: int) -> Measure:
    """As many workers, on both cores, with 64 connections."""

    def measure(field: Field) -> Figures:
        if not _may_have_workers():
            raise Void("tokenward serve has no --workers")
        ours = field.another(f"workers-{many}")
        ours.program.command = [*ours.program.command, "--workers", str(many)]
        ours.program.cores = field.cores.server | field.cores.load
        contestant = ourselves(ours)
        try:
            contestant.start()
            return _asked(field, contestant, many)
        finally:
            contestant.stop()

    return measure


def _asked(field: Field, contestant: Contestant, many: int) -> Figures:
    load = replace(field.load, connections=CONNECTIONS)
    file = load.written(f"workers-{many}", contestant.asked["ES256"]())
    program = contestant.program
    load.ask(program, contestant.port, file, seconds=1)
    before = {pid: used_by(pid) for pid in tree(program.pid)}
    said = load.ask(program, contestant.port, file, seconds=field.seconds)
    said.pop("next")
    after = {pid: used_by(pid) - used for pid, used in before.items()}
    busiest = sorted(after.values(), reverse=True)[:many]
    held = program.holding()
    return {
        **said,
        "least_share": min(busiest) / sum(busiest),
        "sequential_p50_ms": _sequential(contestant),
        "pss": held.pss / MIB,
    }


def _sequential(contestant: Contestant) -> float:
    """One connection, one question after another: a lost acknowledgement shows as 40 ms."""
    import asyncio  # noqa: PLC0415 - only here

    request = contestant.asked["ES256"]()[0]
    latencies = Latencies()

    async def run() -> None:
        pool = Pool(port=contestant.port, size=1)
        for _ in range(SEQUENTIAL):
            began = time.monotonic()
            await pool.ask(request)
            latencies.seconds.append(time.monotonic() - began)
        pool.close()

    asyncio.run(run())
    return latencies.at(0.5)


def _may_have_workers() -> bool:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tokenward", "serve", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "--workers" in done.stdout


ROWS = [
    Row(
        name=NAME,
        unit=PER_CPU,
        measures={TWO: workers(2), ONE: workers(1)},
        needs=frozenset({"wrk"}),
        once=True,
        note="64 connections; the workers share both cores with those who ask",
    )
]
