"""Who takes part? Each is a server, or a library in a process of its own.

A contestant is started once, before anything is measured, on the core that all servers share, and
gives the requests for what it is asked about. What it cannot do, it has no requests for.

To add one, write a file with a function that makes it, and name it in ``field``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.asking import Pool
from bench.processes import Program

OURS, ASGI = "tokenward", "tokenward (ASGI)"
ONE, TWO = "one worker", "two workers"
BARE, OIDC, EXPRESS, AUTHLIB = "uvicorn, bare", "oidc-provider", "Express", "Authlib"
HELLO, JWKS, REFRESH = "hello", "jwks", "refresh"
WARM, STRANGERS = "getToken warm", "getToken strangers"
SHOWN, SHOWN_ONCE = "introspection warm", "introspection cold"
EXCHANGE = "exchange"
PROVING, PROXIED = "tokenward, proofs", "tokenward, proofs by a proxy"
"""What they are asked for; client credentials by the algorithm."""

MANY = 6_000
"""Distinct tokens, in turn: more than any memory of verified tokens holds, so each is new."""

Requests = Callable[[], Sequence[bytes]]
Conversation = Callable[[Pool], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Contestant:
    """One server."""

    name: str
    port: int
    program: Program
    asked: Mapping[str, Requests] = field(default_factory=dict)
    """How it is asked for what; called when the server runs."""

    conversations: Mapping[str, Conversation] = field(default_factory=dict)
    """How it is asked for what cannot be asked the same way twice; raises ``Wrong``."""

    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    """What else has to be started before it, and stopped after it."""

    chain: Callable[[], str] | None = None
    """Begins a chain of refresh tokens; the first of them."""

    def start(self) -> None:
        """Start it and wait until it listens; raises ``DidNotStart``."""
        self.before()
        self.program.start()
        self.program.wait_for(self.port)

    def stop(self) -> None:
        """Stop it, and what belongs to it."""
        self.program.stop()
        self.after()
