"""When is somebody else's server left alone?

Law of this module: after so many failures in a row nobody asks for a while, and then one does.
Only when that one has been answered may all ask again.
"""

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal

FAILURES = 5
"""In a row, after which nobody asks."""

SHORTEST, LONGEST = 5.0, 30.0
"""Seconds until one asks again; twice as many after each time that was in vain."""

PROBING = 1.0
"""Seconds to come back in, for those who come while one asks for all."""

_NOBODY = object()

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True, kw_only=True)
class Breaker:
    """Between us and one thing that may fail.

    ``who`` asks is any name; each asks once at a time.
    """

    ticks: Callable[[], float] = time.monotonic
    """Seconds from anywhere, which only ever go forward."""

    opened: int = 0
    """How often it has opened since it was made."""

    _failures: int = field(default=0, init=False)
    _pause: float = field(default=0.0, init=False)
    _until: float = field(default=-math.inf, init=False)
    _probe: Hashable = field(default=_NOBODY, init=False)

    @property
    def state(self) -> State:
        """``closed``: all may ask; ``open``: nobody; ``half-open``: one at a time."""
        if not self._pause:
            return "closed"
        return "open" if self.ticks() < self._until else "half-open"

    def wait(self) -> float:
        """Seconds in which it is no use asking; 0 if one may ``begin`` now."""
        if not self._pause:
            return 0.0
        if (left := self._until - self.ticks()) > 0:
            return left
        return 0.0 if self._probe is _NOBODY else PROBING

    def begin(self, who: Hashable) -> None:
        """Somebody asks, and will tell how it went."""
        if self._pause:
            self._probe = who

    def succeeded(self) -> None:
        """It answers."""
        self._failures, self._pause, self._probe = 0, 0.0, _NOBODY

    def failed(self, who: Hashable) -> bool:
        """It does not; whether nobody shall ask because of this."""
        if self._pause:
            if self._probe != who:
                return False  # asked before it opened, and only now heard that it had to
            self._pause = min(2 * self._pause, LONGEST)
        else:
            self._failures += 1
            if self._failures < FAILURES:
                return False
            self._pause = SHORTEST
        self._probe, self._until = _NOBODY, self.ticks() + self._pause
        self.opened += 1
        return True

    def abandoned(self, who: Hashable) -> None:
        """Whoever asked has left without an answer: it is the next one's turn."""
        if self._probe == who:
            self._probe = _NOBODY
