"""How long from the start of the program to its first token?"""

import socket
import time
from contextlib import suppress
from statistics import median

from bench.contestants import OIDC, OURS, Contestant
from bench.field import Field
from bench.processes import TO_START, DidNotStart
from bench.results import Figures
from bench.rows import MILLISECONDS, Measure, Row
from bench.wrk import Void

NAME = "start to first token"
TIMES, FEW = 4, 1
"""In each round."""


def starts(who: str) -> Measure:
    """Start it again and again; each time somebody asks until there is an answer."""

    def measure(field: Field) -> Figures:
        starter = field.starter(who)
        took = [_first_token(starter) for _ in range(FEW if field.quick else TIMES)]
        return {"value": median(took), "least": min(took), "most": max(took)}

    return measure


def _first_token(contestant: Contestant) -> float:
    """Milliseconds."""
    request = contestant.asked["ES256"]()[0]
    began = time.monotonic()
    contestant.program.start()
    try:
        while time.monotonic() - began < TO_START:
            with (
                suppress(ConnectionError),
                socket.create_connection(("127.0.0.1", contestant.port), timeout=5) as asking,
            ):
                asking.sendall(request)
                if (said := asking.recv(4096)).startswith(b"HTTP/1.1 200 "):
                    return (time.monotonic() - began) * 1_000
                raise Void(f"{contestant.name} answers {said[:60]!r}")
            if contestant.program.ended:
                break
            time.sleep(0.000_5)
    finally:
        contestant.program.stop()
    raise DidNotStart(f"{contestant.name} gave no token: {contestant.program.said[-500:]}")


ROWS = [
    Row(
        name=NAME,
        unit=MILLISECONDS,
        measures={who: starts(who) for who in (OURS, OIDC)},
        note="configuration read, database opened, keys loaded; the median of many starts",
    )
]
