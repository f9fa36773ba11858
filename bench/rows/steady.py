"""At the same thousand tokens a second: how long does one wait, and what does it cost?"""

import asyncio
import time

import uvloop

from bench.asking import Latencies, Pool, Wrong, paced
from bench.contestants import OIDC, OURS
from bench.field import Field
from bench.processes import pinned
from bench.results import Figures
from bench.rows import MILLISECONDS, Measure, Row
from bench.wrk import Void

NAME = "p99 at 1,000 tokens a second"
RATE, CONNECTIONS = 1_000.0, 32
ENOUGH = 0.95
"""Of the rate: less would be an easier load."""


def steadily(who: str) -> Measure:
    """Ask a thousand times a second, whatever is answered."""

    def measure(field: Field) -> Figures:
        server = field.server(who)
        request = server.asked["ES256"]()[0]
        latencies, errors = Latencies(), []

        async def run() -> float:
            pool = Pool(port=server.port, size=CONNECTIONS)

            async def ask(due: float) -> None:
                try:
                    await pool.ask(request)
                except Wrong as problem:
                    errors.append(str(problem))
                else:
                    latencies.seconds.append(time.monotonic() - due)

            began = time.monotonic()
            asked = await paced(RATE, lambda: time.monotonic() - began > field.seconds, ask)
            pool.close()
            return asked / field.seconds

        used = server.program.seconds()
        with pinned(field.cores.load), asyncio.Runner(loop_factory=uvloop.new_event_loop) as it:
            asked = it.run(run())
        used = server.program.seconds() - used
        if errors:
            raise Void(f"{len(errors)} errors, such as: {errors[0]}")
        if asked < ENOUGH * RATE:
            raise Void(f"we could ask only {asked:.0f} times a second")
        return {
            "value": latencies.at(0.99),
            "p50_ms": latencies.at(0.5),
            "p99_ms": latencies.at(0.99),
            "cpu_us": used / len(latencies.seconds) * 1e6,
        }

    return measure


ROWS = [
    Row(
        name=NAME,
        unit=MILLISECONDS,
        measures={who: steadily(who) for who in (OURS, OIDC)},
        note="client credentials, ES256; from when each was due to its answer",
    )
]
