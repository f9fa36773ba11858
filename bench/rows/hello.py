"""How much can uvicorn answer at most? A form in, a little JSON out, and nothing between."""

from bench.contestants import BARE, HELLO
from bench.rows import PER_CPU, Row, load

NAME = "bare HTTP answer"

ROWS = [
    Row(
        name=NAME,
        unit=PER_CPU,
        measures={BARE: load(HELLO, server=BARE, good=lambda body: body == b'{"hello": "world"}')},
        note="uvicorn with uvloop and httptools, raw ASGI: what others are held against",
    )
]
