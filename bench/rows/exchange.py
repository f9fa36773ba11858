"""How many tokens of somebody else's are exchanged for ours (RFC 8693)?"""

from bench.contestants import ASGI, EXCHANGE, OURS
from bench.rows import PER_CPU, Row, load
from bench.rows.client_credentials import signed_with

ROWS = [
    Row(
        name="token exchange, ES256",
        unit=PER_CPU,
        measures={
            who: load(EXCHANGE, server=who, good=signed_with("ES256")) for who in (OURS, ASGI)
        },
    )
]
