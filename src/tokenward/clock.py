"""The one place that knows what time it is."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Says what time it is: seconds since the epoch, UTC."""

now: Clock = time.time
