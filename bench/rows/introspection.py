"""How often does an API hear what a token is worth (RFC 7662)?"""

import json

from bench.contestants import ASGI, OIDC, OURS, SHOWN, SHOWN_ONCE
from bench.rows import PER_CPU, Row, load

WHO = (OURS, ASGI, OIDC)
WARM, COLD = "introspection, the same token", "introspection, tokens never seen"


def good(body: bytes) -> bool:
    """Whether it is active, and says what for."""
    said = json.loads(body)
    return said["active"] is True and said["scope"] == "reports:read"


ROWS = [
    Row(
        name=WARM,
        unit=PER_CPU,
        measures={who: load(SHOWN, server=who, good=good) for who in WHO},
        note="oidc-provider's tokens are opaque here: it looks them up in its memory",
    ),
    Row(
        name=COLD,
        unit=PER_CPU,
        measures={who: load(SHOWN_ONCE, server=who, good=good) for who in WHO},
        note="6,000 tokens in turn, which is more than are remembered",
    ),
]
