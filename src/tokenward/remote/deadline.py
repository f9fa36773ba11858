"""One deadline for a thread's whole conversation.

A read timeout is for one read: a server that sends a byte now and then is never late. Event loops
have a remedy (``asyncio.timeout``); for threads every socket operation is given no more than what
is left of the deadline (``threads``). Only looking up a name is the system's, and keeps its own
time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_until: ContextVar[float] = ContextVar("_until")


@contextmanager
def no_later_than(until: float) -> Iterator[None]:
    """Every socket operation of this thread ends by then (``time.monotonic``)."""
    token = _until.set(until)
    try:
        yield
    finally:
        _until.reset(token)


def left_of(timeout: float | None, late: type[Exception]) -> float:
    """Seconds this operation may take; raises ``late`` if there are none left."""
    left = _until.get(monotonic() + 60.0) - monotonic()
    if left <= 0:
        raise late
    return left if timeout is None else min(timeout, left)
