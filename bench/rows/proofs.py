"""What does it cost to show who one is, beside `getToken` for somebody who is known?

Everybody gets the same token, which is in memory; see ``proving``.

Law: of a signature that a proof cannot do without, what the machine needs for it bare is measured
in the same round and left out: ``aside`` is how often we would answer if signatures cost nothing.
A conversation counts for as many answers as it takes.
"""

import asyncio
from collections.abc import Sequence

import uvloop

from bench.asking import Latencies, Pool, Wrong, closed
from bench.contestants import PROVING, PROXIED
from bench.field import Field
from bench.processes import pinned
from bench.proving import (
    API_KEY,
    ASKED,
    ASSERTED,
    BASIC,
    BY,
    CERTIFICATE,
    GET_TOKEN,
    HUB,
    KINDS,
    OPAQUE,
    POST,
    SECRET_JWT,
    SIGNERS,
    STRANGER,
    TLS,
)
from bench.results import Figures
from bench.rows import ASIDE, PER_CPU, Measure, Row, load
from bench.wrk import Void

CALLERS, CLIENTS = "proofs of callers", "proofs of clients"
MACHINE = "signatures"
BASE = CALLERS, GET_TOKEN
NEVER_SEEN = CALLERS, STRANGER
ONCE = (*(f"{BY}{it}" for it in KINDS), HUB, *(f"{ASSERTED}{it}" for it in SIGNERS), SECRET_JWT)
"""What is good for once, and so never seen before."""
CONNECTIONS, BARE = 32, 200
"""Conversations at a time; signatures of which the cost is measured, before and after them."""

NEEDS = frozenset({PROVING, PROXIED, MACHINE})
_KIND = {"ES256": "p256", "EdDSA": "ed25519"}


def again(what: str, server: str = PROVING) -> Measure:
    """The same request again and again; no signature is looked at, for it was before."""
    ask = load(what, server=server, good=lambda body: b"eyJ" in body or b'"nonce"' in body)

    def measure(field: Field) -> Figures:
        said = ask(field)
        return {**said, ASIDE: said["value"]}

    return measure


def anew(what: str, *, answers: int, signatures: Sequence[str]) -> Measure:
    """A conversation that nobody can have twice, with so many answers and these signatures."""

    def measure(field: Field) -> Figures:
        server = field.server(PROVING)
        converse = server.conversations[what]
        latencies, errors = Latencies(), []

        async def run() -> float:
            pool = Pool(port=server.port, size=CONNECTIONS)
            loop = asyncio.get_running_loop()
            await converse(pool)
            used, ends = server.program.seconds(), loop.time() + field.seconds

            async def one(_: float) -> None:
                began = loop.time()
                try:
                    await converse(pool)
                except Wrong as problem:
                    errors.append(str(problem))
                else:
                    latencies.seconds.append(loop.time() - began)

            await closed(CONNECTIONS, lambda: loop.time() > ends or bool(errors), one)
            pool.close()
            return server.program.seconds() - used

        machine = field.library(MACHINE)

        def bare() -> float:
            return sum(float(machine.ask(how=it, many=BARE)["us"]) for it in signatures)

        before = bare()
        with pinned(field.cores.load), asyncio.Runner(loop_factory=uvloop.new_event_loop) as it:
            used = it.run(run())
        if errors:
            raise Void(f"{len(errors)} errors, such as: {errors[0]}")
        many = len(latencies.seconds)
        if not many or used <= 0:
            raise Void("nothing was answered")
        each, signed = used / many * 1e6, (before + bare()) / 2
        return {
            "value": answers / each * 1e6,
            ASIDE: answers / max(each - signed, 1.0) * 1e6,
            "p50_ms": latencies.at(0.5),
            "p99_ms": latencies.at(0.99),
            "conversations": many,
            "signatures_us": signed,
        }

    return measure


ROWS = [
    Row(
        name=CALLERS,
        unit=PER_CPU,
        measures={
            GET_TOKEN: again(GET_TOKEN),
            STRANGER: anew(STRANGER, answers=1, signatures=["verify rsa"]),
            OPAQUE: again(OPAQUE),
            API_KEY: again(API_KEY),
            CERTIFICATE: again(CERTIFICATE, PROXIED),
            ASKED: again(ASKED),
            **{
                f"{BY}{kind}": anew(f"{BY}{kind}", answers=2, signatures=[f"verify {kind}"])
                for kind in KINDS
            },
            HUB: anew(HUB, answers=2, signatures=["verify ed25519", "sign ed25519"]),
        },
        needs=NEEDS,
        beside=BASE,
        note="all get the upstream's token in memory, hub_key one of ours; a challenge is two "
        "answers, and what was answered is durable before the token leaves",
    ),
    Row(
        name=CLIENTS,
        unit=PER_CPU,
        measures={
            BASIC: again(BASIC),
            POST: again(POST),
            **{
                f"{ASSERTED}{alg}": anew(
                    f"{ASSERTED}{alg}", answers=1, signatures=[f"verify {_KIND[alg]}"]
                )
                for alg in SIGNERS
            },
            SECRET_JWT: anew(SECRET_JWT, answers=1, signatures=()),
            TLS: again(TLS, PROXIED),
        },
        needs=NEEDS,
        beside=BASE,
        note="client credentials, for the same token; an assertion is good once, and that is "
        "durable before the token leaves",
    ),
]
