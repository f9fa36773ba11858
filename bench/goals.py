"""What we want to be, and whether we are: each goal with its figure out of the same run.

Law: a goal is held or missed by a stated amount; what was not measured is neither, and says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench.contestants import ASGI, AUTHLIB, BARE, EXPRESS, OIDC, ONE, OURS, TWO
from bench.results import Results
from bench.rows import (
    ASIDE,
    get_token,
    hello,
    introspection,
    jwks,
    memory,
    proofs,
    rotation,
    startup,
    steady,
    verify,
    workers,
)
from bench.rows.client_credentials import NAMES as TOKENS
from bench.rows.verify import SIGN

X = " ×"

Figure = Callable[[Results], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One clause."""

    number: int
    words: str
    figure: Figure
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def wanted(self) -> str:
        """In words."""
        sign, bound = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return f"{sign} {bound:g}{self.unit}"

    def held(self, figure: float) -> bool:
        """Whether this figure will do."""
        if self.least is not None:
            return figure >= self.least
        return self.most is not None and figure <= self.most

    def short(self, figure: float) -> float:
        """By which share of the goal it is missed; 0 if it is held."""
        bound = self.least if self.least is not None else self.most
        return 0.0 if self.held(figure) or not bound else abs(figure - bound) / bound


def times(row: str, one: str, other: str, key: str = "value") -> Figure:
    """How many times the one is the other."""
    return lambda results: results.ratio((row, one), (row, other), key)


def of(row: str, who: str, base: str, base_who: str, key: str = "value") -> Figure:
    """The same across two rows."""
    return lambda results: results.ratio((row, who), (base, base_who), key)


def value(row: str, who: str, key: str = "value") -> Figure:
    """The figure itself."""
    return lambda results: results.value(row, who, key)


def _sign(alg: str, who: str) -> Figure:
    return of(TOKENS[alg], who, SIGN[alg], verify.MACHINE)


def _hello(row: str, who: str) -> Figure:
    return of(row, who, hello.NAME, BARE)


def at_least(number: int, words: str, figure: Figure, bound: float, unit: str = X) -> Goal:
    """The more the better."""
    return Goal(number=number, words=words, figure=figure, least=bound, unit=unit)


def at_most(number: int, words: str, figure: Figure, bound: float, unit: str = X) -> Goal:
    """The less the better."""
    return Goal(number=number, words=words, figure=figure, most=bound, unit=unit)


def _proof(row: str, who: str) -> Goal:
    """One way to show who one is: half as fast as getToken, signatures aside."""
    figure = of(row, who, *proofs.BASE, ASIDE)
    return at_least(13, f"{who} beside getToken, signatures aside", figure, 0.5)


def _once(row: str, who: str) -> Goal:
    """The same beside getToken for somebody who was never seen, for what nobody can show twice."""
    figure = of(row, who, *proofs.NEVER_SEEN, ASIDE)
    return at_least(13, f"{who} beside getToken for callers never seen", figure, 0.5)


ES, RS = TOKENS["ES256"], TOKENS["RS256"]
COLD_RS, COLD_ES = verify.COLD["RS256"], verify.COLD["ES256"]
POSTGRES = rotation.GROUPED["PostgreSQL"]
GOALS = [
    at_least(1, "ES256 tokens beside oidc-provider", times(ES, OURS, OIDC), 4.0),
    at_least(1, "… by ASGI", times(ES, ASGI, OIDC), 3.0),
    at_least(1, "ES256 tokens beside Authlib", times(ES, OURS, AUTHLIB), 8.0),
    at_least(2, "ES256 tokens beside bare signatures", _sign("ES256", OURS), 0.48),
    at_least(2, "… by ASGI", _sign("ES256", ASGI), 0.36),
    at_least(2, "RS256 tokens beside bare signatures", _sign("RS256", OURS), 0.88),
    at_least(2, "EdDSA tokens beside bare signatures", _sign("EdDSA", OURS), 0.45),
    at_least(3, "RS256 tokens beside oidc-provider", times(RS, OURS, OIDC), 1.25),
    at_least(3, "RS256 tokens beside Authlib", times(RS, OURS, AUTHLIB), 2.3),
    at_least(4, "getToken beside bare HTTP", _hello(get_token.KNOWN, OURS), 1.2),
    at_least(4, "… by ASGI", _hello(get_token.KNOWN, ASGI), 0.75),
    at_least(4, "getToken beside Express", times(get_token.KNOWN, OURS, EXPRESS), 6.0),
    at_least(4, "… callers never seen", times(get_token.NEW, OURS, EXPRESS), 3.0),
    at_least(5, "introspection beside oidc-provider", times(introspection.WARM, OURS, OIDC), 3.0),
    at_least(5, "… tokens never seen", times(introspection.COLD, OURS, OIDC), 1.0),
    at_least(5, "JWKS beside bare HTTP", _hello(jwks.NAME, OURS), 0.9),
    at_least(5, "JWKS beside oidc-provider", times(jwks.NAME, OURS, OIDC), 1.8),
    at_least(
        6,
        "durable refresh beside oidc-provider in memory",
        times(rotation.REFRESHING, OURS, OIDC),
        2.0,
    ),
    at_least(
        6,
        "PostgreSQL, grouped beside a commit each",
        times(POSTGRES, rotation.TOGETHER, rotation.ALONE, "per_second"),
        3.0,
    ),
    at_most(6, "our time for each rotation there", value(POSTGRES, rotation.TOGETHER), 10.0, " µs"),
    at_most(
        7, "verify RS256 beside the signature alone", times(COLD_RS, verify.OURS, verify.BARE), 1.35
    ),
    at_most(
        7, "verify ES256 beside the signature alone", times(COLD_ES, verify.OURS, verify.BARE), 1.10
    ),
    at_least(7, "faster than PyJWT with a key", times(COLD_RS, verify.PYJWT, verify.OURS), 2.0),
    at_least(
        7, "faster than PyJWT with PyJWKClient", times(COLD_RS, verify.CLIENT, verify.OURS), 3.5
    ),
    at_least(7, "faster than npm jose", times(COLD_RS, verify.JOSE, verify.OURS), 1.7),
    at_least(7, "faster than @okta/jwt-verifier", times(COLD_RS, verify.OKTA, verify.OURS), 3.0),
    at_most(7, "verify a token seen before", value(verify.WARM, verify.OURS), 2.0, " µs"),
    at_least(7, "… faster than npm jose", times(verify.WARM, verify.JOSE, verify.OURS), 15.0),
    at_most(8, "p99 at 32 connections beside oidc-provider", times(ES, OURS, OIDC, "p99_ms"), 0.33),
    at_most(8, "p99 at 1,000 tokens a second", times(steady.NAME, OURS, OIDC, "p99_ms"), 0.5),
    at_most(8, "processor time for each of these", times(steady.NAME, OURS, OIDC, "cpu_us"), 0.35),
    at_most(10, "memory after a million tokens", value(memory.NAME, OURS), 80.0, " MiB"),
    at_most(10, "… beside oidc-provider", times(memory.NAME, OURS, OIDC), 0.35),
    at_most(
        10,
        "memory of each of two workers",
        value(workers.NAME, TWO, "worker_pss"),
        30.0,
        " MiB",
    ),
    at_most(11, "start to first token", value(startup.NAME, OURS), 300.0, " ms"),
    at_most(11, "… beside oidc-provider", times(startup.NAME, OURS, OIDC), 1.0),
    at_least(12, "two workers beside one", times(workers.NAME, TWO, ONE), 0.95),
    at_least(12, "share of the less busy worker", value(workers.NAME, TWO, "least_share"), 0.3),
    at_most(
        12,
        "one question after another, two workers",
        value(workers.NAME, TWO, "sequential_p50_ms"),
        2.0,
        " ms",
    ),
    *(
        _proof(row.name, who)
        for row in proofs.ROWS
        for who in row.measures
        if (row.name, who) not in (proofs.BASE, proofs.NEVER_SEEN)
    ),
    *(_once(row.name, who) for row in proofs.ROWS for who in row.measures if who in proofs.ONCE),
]
