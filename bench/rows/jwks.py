"""How often are the public keys fetched?"""

import json

from bench.contestants import ASGI, JWKS, OIDC, OURS
from bench.rows import PER_CPU, Row, load

NAME = "public keys (JWKS)"

ROWS = [
    Row(
        name=NAME,
        unit=PER_CPU,
        measures={
            who: load(JWKS, server=who, good=lambda body: bool(json.loads(body)["keys"]))
            for who in (OURS, ASGI, OIDC)
        },
    )
]
