"""How many people get the platform's token: who were here before, and who never were?"""

from bench.contestants import ASGI, EXPRESS, OURS, STRANGERS, WARM
from bench.rows import PER_CPU, Row, load

WHO = (OURS, ASGI, EXPRESS)
KNOWN, NEW = "getToken, the same caller", "getToken, callers never seen"


def good(body: bytes) -> bool:
    """Whether it is a token, ready to be a header."""
    return body.startswith(b"Bearer eyJ")


ROWS = [
    Row(
        name=KNOWN,
        unit=PER_CPU,
        measures={who: load(WARM, server=who, good=good) for who in WHO},
        note="Express verifies each time, and writes the caller's claims to its console",
    ),
    Row(
        name=NEW,
        unit=PER_CPU,
        measures={who: load(STRANGERS, server=who, good=good) for who in WHO},
        note="RS256 tokens of 6,000 people in turn, which is more than are remembered",
    ),
]
