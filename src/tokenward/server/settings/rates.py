"""A rate as it is written: ``"100/s burst 200"``."""

import re

from tokenward.server.limits import Rate
from tokenward.server.values import Wrong, refusal

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?([smhd])(?: burst ([1-9][0-9]{0,8}))?")
_WRITTEN_SO = 'such as "100/s", "100/s burst 200" or "10/5m"'
OFF = "off"


def rate(value: object) -> Rate | None:
    """``"100/s burst 200"``: so many in a period, and so many at once; ``"off"``: no limit."""
    if not isinstance(value, str):
        raise refusal(value, f"a rate {_WRITTEN_SO}")
    if value == OFF:
        return None
    if not (match := _RATE.fullmatch(value)):
        raise Wrong(f"must be a rate {_WRITTEN_SO}", 'or "off" for none')
    requests, count, unit, burst = match.groups()
    return Rate(int(requests), int(count or 1) * _UNITS[unit], int(burst or requests))
