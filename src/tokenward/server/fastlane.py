"""The fast lane: what has arrived whole, and whose answer is at hand, is answered at once.

Most answers of ours wait for nobody: what they need is in memory. For those the way through ASGI
costs more than the answer: a task, an event, a scope, two messages. So the first step of the
answer is made as soon as the request has been read, and if it is also the last, the answer is
written there and then.

Law of this module: it changes when an answer is given, never what it says. Whatever is out of the
ordinary goes the usual way, through ASGI: a body that comes in pieces, a request in line behind
another, an upgrade, an expectation, a page. An answer that has to wait becomes a task like any
other, with all that waits for it, cancels it or comes after it.
"""

import asyncio
from collections.abc import Coroutine, Generator, Sequence
from contextvars import copy_context
from http import HTTPStatus
from random import getrandbits
from time import perf_counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tokenward.server.asgi import Front
from tokenward.server.bodies import Application, Receive, Scope, Send
from tokenward.server.guard import Guard
from tokenward.server.http import Answer, Received
from tokenward.server.routing import Route

# What gives a request a meaning beyond its method, path, headers and a body of known length.
_UNUSUAL = frozenset({b"expect", b"upgrade", b"transfer-encoding", b"trailer", b"http2-settings"})

_STATUS = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
_WITHOUT_LENGTH = (204, 304)
_CLOSE = b"connection: close\r\n"

_enter, _leave = asyncio.tasks._enter_task, asyncio.tasks._leave_task  # noqa: SLF001
# Documented for those who carry coroutines otherwise than in tasks ("Extending asyncio").


class FastLane(Guard):
    """One connection, with both lanes."""

    _route: Route | None = None
    _spare: "_Spare | None" = None
    _rest: "_Rest | None" = None
    _at_once = 0

    def data_received(self, data: bytes) -> None:
        self._at_once = 0
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._spare is not None:
            self._spare.task.cancel()
        super().connection_lost(exc)

    def _begin(self) -> None:
        """Keep the request here until it is whole, if it may well be."""
        self._route = self._way()
        if self._route is None:
            super()._begin()
        else:
            self._pieces: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        if self._route is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def _fed(self) -> None:
        """What is not whole by now goes the usual way, with what there is of it."""
        if self._route is not None and self.parser is not None:
            self._route = None
            super()._begin()
            for piece in self._pieces:
                super().on_body(piece)

    def on_message_complete(self) -> None:
        route, self._route = self._route, None
        if route is None:
            super().on_message_complete()
            return
        front: Any = self.app
        began = perf_counter()
        target, _, query = self.url.partition(b"?")
        method = self.parser.get_method().decode()
        fields, headers = self._head.fields, self.headers
        id = f"{getrandbits(64):016x}"
        origin = fields.get(b"origin", b"")
        if (refused := front.refused(self._address)) is not None:
            unread = fields.get(b"content-length", b"0") != b"0"
            self._write(front, route, method, origin, refused, id, began, unread=unread)
            return
        received = Received(
            method="GET" if method == "HEAD" else method,
            path=target.decode(),
            query=query,
            headers=headers,
            single=fields if len(fields) == len(headers) else None,
            body=b"".join(self._pieces),
            address=self._address,
            certificate=self._certificate,
            id=id,
        )
        spare = self._spare
        if spare is None:
            spare = self._spare = _Spare(self.loop)
        answering = front.answer(route, received)
        _enter(self.loop, spare.task)
        try:
            waiting = spare.context.run(answering.send, None)
        except StopIteration as done:
            answer = done.value
        else:
            rest = _Rest(answering, waiting)
            self._wait_for(rest, _remaining(front, route, method, origin, rest, id, began))
            return
        finally:
            _leave(self.loop, spare.task)
        self._write(front, route, method, origin, answer, id, began)

    def _way(self) -> Route | None:
        """Where the request leads, if there is nothing unusual about it."""
        front, parser = self.app, self.parser
        if not isinstance(front, Front) or parser.get_http_version() != "1.1":
            return None
        fields = self._head.fields
        route = front.route(self.url.partition(b"?")[0])
        length = fields.get(b"content-length", b"0")
        if (
            route is None
            or parser.get_method().decode() not in route.methods
            or self._under_way()
            or self._at_once >= self.limits.most_pipelined  # others want an answer, too
            or self.flow.write_paused
            or not (length.isdigit() and int(length[:18]) <= front.longest)
            or not _UNUSUAL.isdisjoint(fields)
        ):
            return None
        return route

    def _write(
        self,
        front: Front,
        route: Route,
        method: str,
        origin: bytes,
        answer: Answer,
        id: str,
        began: float,
        *,
        unread: bool = False,
    ) -> None:
        """The whole answer in one piece."""
        status, brought, body = answer
        parts = [
            _STATUS[status],
            _encoded(self.server_state.default_headers),
            _encoded(front.dressed(route, brought)),
            b"x-request-id: %b\r\n" % id.encode(),
        ]
        if route.registered and origin:
            parts.append(_encoded(front.permission(origin)))
        leaving = self._stopping or not self.parser.should_keep_alive()
        if unread:
            leaving = True
            parts.append(_CLOSE)
        if status not in _WITHOUT_LENGTH:
            parts.append(b"content-length: %d\r\n" % len(body))
        if leaving and not unread:
            parts.append(_CLOSE)
        parts.append(b"\r\n")
        if method != "HEAD":
            parts.append(body)
        self.transport.write(b"".join(parts))
        if leaving:
            self.transport.close()
        self._at_once += 1
        self.answered()
        front.tell(route, method, status, began, id)

    # ── an answer that has to wait ──────────────────────────────────────────────────────────────

    def _wait_for(self, rest: "_Rest", app: Application) -> None:
        """From here on it is a request like any other, whose application has begun already."""
        self._rest = rest
        usual, self.app = self.app, app
        try:
            super()._begin()
        finally:
            self.app, self._rest = usual, None
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Application) -> None:  # type: ignore[override]
        spare = self._spare
        if self._rest is None or spare is None:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]
            return
        # The task in whose name the first step was made also makes the others.
        self._spare = None
        self.tasks.add(spare.task)
        spare.task.add_done_callback(self.tasks.discard)
        spare.work.set_result(cycle.run_asgi(app))  # type: ignore[arg-type]


def _remaining(
    front: Front, route: Route, method: str, origin: bytes, rest: "_Rest", id: str, began: float
) -> Application:
    """The rest of an answer, as an application."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await front.reply(send, route, method, origin, await rest, id, began)

    return application


class _Spare:
    """A task that waits for work, and until then lends its name to first steps."""

    __slots__ = ("context", "task", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.context = copy_context()
        self.work: asyncio.Future[Coroutine[Any, Any, None]] = loop.create_future()
        self.task = loop.create_task(_do(self.work), context=self.context)


async def _do(work: "asyncio.Future[Coroutine[Any, Any, None]]") -> None:
    await (await work)


class _Rest:
    """A coroutine that has made its first step, and what it then began to wait for."""

    __slots__ = ("_coroutine", "_waiting")

    def __init__(self, coroutine: Coroutine[Any, Any, Answer], waiting: object) -> None:
        self._coroutine, self._waiting = coroutine, waiting

    def __await__(self) -> Generator[object, object, Answer]:
        coroutine, waiting = self._coroutine, self._waiting
        try:
            while True:
                try:
                    sent = yield waiting
                except BaseException as problem:  # noqa: BLE001 - whatever it is, it is theirs
                    waiting = coroutine.throw(problem)
                else:
                    waiting = coroutine.send(sent)
        except StopIteration as done:
            answer: Answer = done.value
            return answer


_MOST_ENCODED = 256
_headers: dict[int, tuple[Sequence[tuple[bytes, bytes]], bytes]] = {}


def _encoded(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """These headers on the wire; most are the very same ones every time."""
    known = _headers.get(id(headers))
    if known is not None and known[0] is headers:
        return known[1]
    encoded = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    if len(_headers) >= _MOST_ENCODED:
        _headers.clear()
    _headers[id(headers)] = headers, encoded
    return encoded
