"""What do two workers do that one does not?"""

import asyncio
import time
from dataclasses import replace

from bench.asking import Latencies, Pool
from bench.contestants import ONE, TWO, Contestant
from bench.field import Field
from bench.processes import tree, used_by
from bench.results import Figures
from bench.rows import PER_CPU, Measure, Row

NAME = "two workers, client credentials, ES256"
CONNECTIONS, SEQUENTIAL = 64, 300
MIB = 2**20


def workers(who: str, many: int) -> Measure:
    """As many workers, on both cores, with 64 connections."""

    def measure(field: Field) -> Figures:
        contestant = field.server(who)
        load = replace(field.load, connections=CONNECTIONS)
        file = field.requests(contestant, "ES256")
        program = contestant.program
        before = {pid: used_by(pid) for pid in tree(program.pid)}
        said = load.ask(program, contestant.port, file, seconds=field.seconds)
        said.pop("next")
        used = {pid: used_by(pid) - earlier for pid, earlier in before.items()}
        busiest = sorted(used, key=used.__getitem__, reverse=True)[:many]
        held = program.holding_of(busiest)
        return {
            **said,
            "least_share": min(used[it] for it in busiest) / sum(used[it] for it in busiest),
            "sequential_p50_ms": _sequential(contestant),
            "worker_pss": held.pss / MIB / many,
        }

    return measure


def _sequential(contestant: Contestant) -> float:
    """One connection, one question after another: a lost acknowledgement shows as 40 ms."""
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


ROWS = [
    Row(
        name=NAME,
        unit=PER_CPU,
        measures={TWO: workers(TWO, 2), ONE: workers(ONE, 1)},
        note="64 connections; the workers share both cores with those who ask",
    )
]
