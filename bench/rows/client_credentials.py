"""How many tokens does a client get for its secret, by algorithm?"""

import base64
import json
from collections.abc import Callable

from bench.contestants import ASGI, AUTHLIB, OIDC, OURS
from bench.rows import PER_CPU, Row, load

NAMES = {alg: f"client credentials, {alg}" for alg in ("ES256", "EdDSA", "RS256")}
WHO = {
    "ES256": (OURS, ASGI, OIDC, AUTHLIB),
    "EdDSA": (OURS, ASGI, OIDC),
    "RS256": (OURS, ASGI, OIDC, AUTHLIB),
}


def signed_with(algorithm: str) -> Callable[[bytes], bool]:
    """Whether an answer has a JWT of this algorithm, which has two names for EdDSA (RFC 9864)."""
    names = {algorithm, *(["Ed25519"] if algorithm == "EdDSA" else [])}

    def good(body: bytes) -> bool:
        said = json.loads(body)
        header = str(said["access_token"]).partition(".")[0]
        head = json.loads(base64.urlsafe_b64decode(header + "=="))
        return head["alg"] in names and said.get("scope", "reports:read") == "reports:read"

    return good


ROWS = [
    Row(
        name=NAMES[algorithm],
        unit=PER_CPU,
        measures={
            who: load(algorithm, server=who, good=signed_with(algorithm)) for who in WHO[algorithm]
        },
    )
    for algorithm in NAMES
]
