"""How often somebody may ask, as it is written: ``"100/s burst 200"``."""

import math
import re

from tokenward.server.limits import Meter
from tokenward.server.settings.rates import rate
from tokenward.server.values import Wrong

SEEDS = (
    b"100/s",
    b"100/s burst 200",
    b"10/5m",
    b"1/999999d burst 999999999",
    b"off",
    b"999999999/s",
)
WORDS = (
    b"/",
    b" burst ",
    b"burst",
    b"off",
    b"0",
    b"s",
    b"m",
    b"h",
    b"d",
    b"e9",
    b"\xc2\xb2",
    b"\n",
)
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
FIRST = 1_700_000_000.0


def attempt(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = rate(text)
    except Wrong as wrong:
        assert str(wrong)
        return
    if found is None:
        assert text == "off"
        return
    assert text.isascii()
    requests, period, burst = re.fullmatch(r"(\d+)/(\d*[smhd])(?: burst (\d+))?", text).groups()
    assert found.requests == int(requests) > 0
    assert found.seconds == int(period[:-1] or 1) * SECONDS[period[-1]] > 0
    assert found.burst == int(burst or requests) > 0
    whole = f"{found.requests}/{period}" + (f" burst {found.burst}" if burst else "")
    assert whole == text, "something in it counts for nothing"
    _counted(Meter(found), found.seconds / found.requests)


def _counted(meter: Meter, each: float) -> None:
    """The first is let in, and whoever waits as long as they are told is let in, too."""
    assert meter.wait("ann", FIRST) == 0.0
    now = FIRST
    for _ in range(3):
        meter.count("ann", now)
        wait = meter.wait("ann", now)
        assert math.isfinite(wait)
        assert 0.0 <= wait <= each + 1e-3
        now += wait + 1e-3
        assert meter.wait("ann", now) == 0.0
    assert meter.wait("bob", now) == 0.0
