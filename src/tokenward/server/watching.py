"""What is being asked right now, for those who want to know of each request: traces and logs.

It hangs on what is there anyway: the endpoints, the events of the audit trail, and the front,
which says when an answer was given. So both lanes are watched alike, and where nobody wants to
know, nothing hangs there.

Law of this module: no token, no secret and no query is ever in a note; and nothing here waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from tokenward.server.audit import Event
from tokenward.server.endpoints import Endpoint
from tokenward.server.hooks import Seen
from tokenward.server.http import Answer, Received
from tokenward.server.metrics import grant_of
from tokenward.server.sockets import Upgrading

MOST_OPEN = 16_384
"""Requests under way that are noted; of some the end is never told, as when somebody hangs up."""

_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})


@dataclass(slots=True, kw_only=True)
class Note:
    """What is known of one request; what is not known is empty."""

    id: str
    address: str = ""
    kind: str = ""
    grant_type: str = ""
    client: str = ""
    token: str = ""
    """The name of the token in the configuration."""

    subject: str = field(default="", repr=False)
    outcome: str = ""
    """``ok``, or the code of the error."""

    span: Any = None
    """Its span, once it has one."""

    trace_id: str = ""
    route: str = ""
    method: str = ""
    status: int = 0
    seconds: float = 0.0

    def take(self, event: Event) -> None:
        """Note what an audited request was about, and how it ended."""
        self.kind, self.grant_type = event.kind, grant_of(event)
        if event.client is not None:
            self.client = event.client.id
        if event.authorization is not None:
            self.token = event.authorization.token
        if event.grant is not None:
            self.subject = event.grant.caller.subject
        self.outcome = "ok" if event.failure is None else event.failure["error"]


class Tracer(Protocol):
    """Makes a span of each request."""

    def begin(self, note: Note, received: Received) -> None:
        """A request has arrived; what it leads to from here on belongs to it."""
        ...

    def end(self, note: Note) -> None:
        """It has been answered."""
        ...


class Writer(Protocol):
    """Writes a line of each request."""

    def write(self, note: Note) -> None:
        """A request has been answered."""
        ...


@dataclass(slots=True, kw_only=True)
class Watch:
    """``tracer`` and ``writer`` hear of every request, except those on ``quiet`` paths that end
    well: those come all the time."""

    tracer: Tracer | None = None
    writer: Writer | None = None
    quiet: frozenset[str] = frozenset()
    _open: dict[str, Note] = field(default_factory=dict)

    def around(self, routes: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
        """The same endpoints, with somebody who notes what comes in."""
        return {
            path: (
                endpoint
                if path in self.quiet or isinstance(endpoint, Upgrading)
                else cast("Endpoint", Watched(endpoint, self))
            )
            for path, endpoint in routes.items()
        }

    def begin(self, received: Received) -> None:
        """A request has arrived whole."""
        note = self._open[received.id] = Note(id=received.id, address=received.address)
        if len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]
        if self.tracer is not None:
            self.tracer.begin(note, received)

    def event(self, event: Event) -> None:
        """An audited request has ended."""
        note = self._open.get(event.received.id)
        if note is not None:
            note.take(event)

    def seen(self, route: str, method: str, status: int, seconds: float, id: str) -> None:
        """An answer was given."""
        note = self._open.pop(id, None)
        if note is None:
            if route in self.quiet and status < 400:  # noqa: PLR2004
                return
            note = Note(id=id)
        note.route, note.status, note.seconds = route, status, seconds
        note.method = method if method in _METHODS else "_OTHER"
        if status >= 400 and note.outcome == "ok":  # noqa: PLR2004  the trail could not keep it
            note.outcome = "server_error"
        if self.tracer is not None:
            self.tracer.end(note)
        if self.writer is not None:
            self.writer.write(note)


class Watched:
    """An endpoint, and somebody who notes what comes in."""

    def __init__(self, endpoint: Endpoint, watch: Watch) -> None:
        self.endpoint, self._watch = endpoint, watch
        self.methods, self.cors = endpoint.methods, endpoint.cors
        self.private = getattr(endpoint, "private", False)

    async def answer(self, received: Received) -> Answer:
        """What the endpoint says."""
        self._watch.begin(received)
        return await self.endpoint.answer(received)


def all_seen(*told: Seen | None) -> Seen | None:
    """One who tells them all; ``None`` if there is nobody, and the one if there is one."""
    there = [one for one in told if one is not None]
    if len(there) < 2:  # noqa: PLR2004
        return there[0] if there else None

    def seen(route: str, method: str, status: int, seconds: float, id: str) -> None:
        for one in there:
            one(route, method, status, seconds, id)

    return seen


def all_tallies(*told: Callable[[Event], None] | None) -> Callable[[Event], None] | None:
    """The same, for those who hear of events."""
    there = [one for one in told if one is not None]
    if len(there) < 2:  # noqa: PLR2004
        return there[0] if there else None

    def tally(event: Event) -> None:
        for one in there:
            one(event)

    return tally
