"""Where something may be hung on the front: at its start and its end, and at each request.

Law of this module: what hangs here is quick, never waits, and none of it changes an answer that
was given.
"""

from collections.abc import Awaitable, Callable

from tokenward.server.bodies import Receive, Send
from tokenward.server.http import Answer
from tokenward.server.routing import error

Hook = Callable[[], Awaitable[None]]
"""Called when the application starts or stops."""

Admit = Callable[[str], int]
"""Seconds that somebody at this address has to wait before asking again; 0 for the welcome."""

Seen = Callable[[str, str, int, float, str], None]
"""Told of every answer: the path of its route (``""`` if there is none), method, status, the
seconds since the request was there, and its id."""


async def nothing() -> None:
    """What is done where there is nothing to do."""


def too_often(wait: int) -> Answer:
    """Come again in so many seconds (RFC 6585 §4)."""
    answer = error(429, "temporarily_unavailable", "There are too many requests from your address")
    return answer._replace(headers=(*answer.headers, (b"retry-after", b"%d" % wait)))


async def lifespan(start: Hook, stop: Hook, receive: Receive, send: Send) -> None:
    """Start and stop with the server; a failure is said and then raised (ASGI lifespan)."""
    await receive()
    try:
        await start()
    except BaseException:
        await send({"type": "lifespan.startup.failed"})
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await stop()
    except BaseException:
        await send({"type": "lifespan.shutdown.failed"})
        raise
    await send({"type": "lifespan.shutdown.complete"})
