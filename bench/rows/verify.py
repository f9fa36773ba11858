"""What does it cost to verify a token with a library, and what to sign one at all?"""

from bench.field import Field
from bench.results import Figures
from bench.rows import MICROSECONDS, PER_CPU, Measure, Row

COLD = {alg: f"verify {alg}, tokens never seen" for alg in ("RS256", "ES256")}
WARM = "verify, the same token"
SIGN = {alg: f"signatures, {alg}" for alg in ("ES256", "EdDSA", "RS256")}
OURS, BARE, PYJWT, CLIENT, JOSERFC, JOSE, OKTA = (
    *("tokenward", "cryptography", "PyJWT", "PyJWT + PyJWKClient", "joserfc"),
    *("npm jose", "@okta/jwt-verifier"),
)
MACHINE = "cryptography"

MANY, FEW = 6_000, 1_000
"""For each measurement; a thousand when it must be quick."""


def in_python(who: str, alg: str) -> Measure:
    """So many tokens, each seen for the first time."""

    def measure(field: Field) -> Figures:
        many = FEW if field.quick else MANY
        return {"value": field.library("Python").ask(who=who, alg=alg, many=many)["us"]}

    return measure


def in_node(who: str, alg: str) -> Measure:
    """The same with a library from npm."""

    def measure(field: Field) -> Figures:
        many = FEW if field.quick else MANY
        return {"value": field.library("node").ask(who=who, alg=alg, many=many)["us"]}

    return measure


def signatures(alg: str) -> Measure:
    """What the machine can do: no token is ever made faster."""

    def measure(field: Field) -> Figures:
        many = {"RS256": 100, "EdDSA": 1_000, "ES256": 1_000}[alg] * (1 if field.quick else 5)
        us = field.library("Python").ask(who="sign", alg=alg, many=many)["us"]
        return {"value": 1e6 / us}

    return measure


PYTHON = (OURS, BARE, PYJWT, CLIENT, JOSERFC)

ROWS = [
    *(
        Row(
            name=SIGN[alg],
            unit=PER_CPU,
            measures={MACHINE: signatures(alg)},
            needs=frozenset({"Python"}),
            note="no token, no HTTP",
        )
        for alg in SIGN
    ),
    *(
        Row(
            name=COLD[alg],
            unit=MICROSECONDS,
            measures={
                **{who: in_python(who, alg) for who in PYTHON},
                JOSE: in_node("jose", alg),
                **({OKTA: in_node("okta", alg)} if alg == "RS256" else {}),
            },
            needs=frozenset({"Python", "node"}),
            note="cryptography: the signature alone",
        )
        for alg in COLD
    ),
    Row(
        name=WARM,
        unit=MICROSECONDS,
        measures={
            OURS: in_python("tokenward, remembered", "RS256"),
            JOSE: in_node("jose", "RS256"),
        },
        needs=frozenset({"Python", "node"}),
        note="jose remembers no tokens",
    ),
]
