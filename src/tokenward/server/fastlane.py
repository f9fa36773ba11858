"""The fast lane: what has arrived whole, and whose answer is at hand, is answered at once.

Most answers of ours wait for nobody: what they need is in memory. For those the way through ASGI
costs more than the answer: a task, an event, a scope, two messages. So the first step of the
answer is made as soon as the request has been read, and if it is also the last, the answer is
written there and then.

Law of this module: it changes when an answer is given, never what it says. Whatever is out of the
ordinary goes the usual way, through ASGI: a body that comes in pieces, a request in line behind
another, an upgrade, an expectation, a page. An answer that has to wait becomes a task like any
other, with all that waits for it, cancels it or comes after it; only that it is written in one
piece, too.
"""

import asyncio
import math
from collections.abc import Mapping
from random import getrandbits
from time import perf_counter
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tokenward.server.asgi import Front
from tokenward.server.bodies import Application, Receive, Scope, Send
from tokenward.server.guard import ANSWERING, IDLE, WAITING, Guard
from tokenward.server.http import Answer, Received
from tokenward.server.routing import Pairs, Route
from tokenward.server.steps import Rest, Spare, enter, leave
from tokenward.server.wire import beginning, encoded

# What gives a request a meaning beyond its method, path, headers and a body of known length.
_UNUSUAL = frozenset({b"expect", b"upgrade", b"transfer-encoding", b"trailer", b"http2-settings"})

_WITHOUT_LENGTH = (204, 304)
_CLOSE = b"connection: close\r\n"


class Asked(NamedTuple):
    """What the head of a request says; the same bytes say the same."""

    route: Route
    method: str
    path: str
    query: bytes
    headers: Pairs
    single: Mapping[bytes, bytes] | None
    origin: bytes
    leaving: bool
    """The client wants no other answer after this one."""

    unread: bool
    """There is a body, or may be."""


class FastLane(Guard):
    """One connection, with both lanes."""

    _route: Route | None = None
    _asked: Asked | None = None
    _spare: "Spare | None" = None
    _at_once = 0
    _same = b""
    _whole = 0

    def data_received(self, data: bytes) -> None:
        """Read what came; who asks again with the head of last time need not be read again.

        Clients that keep a connection mostly write the same head on it, byte for byte. What it
        means was found out the last time, and ``_asked`` is that.
        """
        front: Any = self.app
        if (
            len(data) == self._whole
            and self._phase is IDLE
            and (asked := self._asked) is not None
            and data.startswith(self._same)
            and not self.flow.write_paused
            and front.route(asked.route.raw) is asked.route
        ):
            self._at_once = 0
            self._answer(front, asked, data[len(self._same) :])
            return
        self._at_once, self._whole = 0, 0
        begins = self._phase is IDLE or self._phase is WAITING
        super().data_received(data)
        # The rest of a head is no head: who sends it alone must not be taken for who sent both.
        if begins and self._at_once == 1 and self._phase is IDLE:
            self._remember(data)

    def _remember(self, data: bytes) -> None:
        """The head of the request that this is, if it is no more and no less than one."""
        head = data.find(b"\r\n\r\n") + 4
        length = int(self._head.fields.get(b"content-length", b"0"))
        if head >= 4 and len(data) == head + length:  # noqa: PLR2004
            self._same, self._whole = data[:head], len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._spare is not None:
            self._spare.task.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._asked = None
        super().on_message_begin()

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
        target, _, query = self.url.partition(b"?")
        fields, headers = self._head.fields, tuple(self.headers)
        asked = self._asked = Asked(
            route=route,
            method=self.parser.get_method().decode(),
            path=target.decode(),
            query=query,
            headers=headers,
            single=fields if len(fields) == len(headers) else None,
            origin=fields.get(b"origin", b""),
            leaving=not self.parser.should_keep_alive(),
            unread=fields.get(b"content-length", b"0") != b"0",
        )
        self._answer(self.app, asked, b"".join(self._pieces))

    def _answer(self, front: Any, asked: Asked, body: bytes) -> None:
        """Make the first step of the answer, and write it if that was the last."""
        began, id = perf_counter(), f"{getrandbits(64):016x}"
        route, method, path, query, headers, single = asked[:6]
        received = Received(
            "GET" if method == "HEAD" else method,
            path,
            query,
            headers,
            body,
            self.address,
            id,
            self.certificate,
            single,
        )
        if (refused := front.refused(received)) is not None:
            self._write(front, asked, refused, id, unread=asked.unread)
            front.tell(route, method, refused.status, began, id)
            return
        spare = self._spare
        if spare is None:
            spare = self._spare = Spare(self.loop)
        answering = front.answer(route, received)
        enter(self.loop, spare.task)
        try:
            waiting = spare.context.run(answering.send, None)
        except StopIteration as done:
            answer = done.value
        else:
            self._wait_for(front, asked, Rest(answering, waiting), id, began)
            return
        finally:
            leave(self.loop, spare.task)
        self._write(front, asked, answer, id)
        front.tell(route, method, answer.status, began, id)

    def _way(self) -> Route | None:
        """Where the request leads, if there is nothing unusual about it."""
        front, parser = self.app, self.parser
        if not isinstance(front, Front) or not front.fast or parser.get_http_version() != "1.1":
            return None
        fields = self._head.fields
        route = front.route(self.url.partition(b"?")[0])
        length = fields.get(b"content-length", b"0")
        if (
            route is None
            or parser.get_method().decode() not in route.methods
            or self.under_way()
            or self._at_once >= self.limits.most_pipelined  # others want an answer, too
            or self.flow.write_paused
            or not (length.isdigit() and int(length[:18]) <= front.longest)
            or not _UNUSUAL.isdisjoint(fields)
        ):
            return None
        return route

    def _write(
        self, front: Front, asked: Asked, answer: Answer, id: str, *, unread: bool = False
    ) -> None:
        """The whole answer in one piece."""
        leaving = asked.leaving or unread or self.stopping
        self._say(front, asked, answer, id, leaving=leaving, unread=unread)
        if leaving:
            self.transport.close()
        self._at_once += 1
        self.answered()

    def _say(
        self,
        front: Front,
        asked: Asked,
        answer: Answer,
        id: str,
        *,
        leaving: bool,
        unread: bool = False,
    ) -> None:
        route, origin = asked.route, asked.origin
        status, brought, body = answer
        head = beginning(status, self.server_state.default_headers, front.dressed(route, brought))
        said = b"" if not (route.registered and origin) else encoded(front.permission(origin))
        self.transport.write(
            b"%bx-request-id: %b\r\n%b%b%b%b\r\n%b"
            % (
                head,
                id.encode(),
                said,
                _CLOSE if unread else b"",
                b"" if status in _WITHOUT_LENGTH else b"content-length: %d\r\n" % len(body),
                _CLOSE if leaving and not unread else b"",
                b"" if asked.method == "HEAD" else body,
            )
        )

    # ── an answer that has to wait ──────────────────────────────────────────────────────────────

    def _wait_for(self, front: Front, asked: Asked, rest: Rest, id: str, began: float) -> None:
        """From here on it is a request like any other, whose application has begun already."""
        spare, self._spare = self._spare, None
        if spare is None:
            raise RuntimeError("nobody made the first step")
        cycle = self.cycle = self._running = RequestResponseCycle(
            scope={"type": "http", "method": asked.method},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not (asked.leaving or self.stopping),
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        self._whole = 0
        self._phase, self._deadline = ANSWERING, math.inf
        # The task in whose name the first step was made also makes the others.
        self.tasks.add(spare.task)
        spare.task.add_done_callback(self.tasks.discard)
        remaining = self._remaining(front, asked, rest, cycle, id, began)
        spare.work.set_result(cycle.run_asgi(remaining))  # type: ignore[arg-type]

    def _remaining(
        self,
        front: Front,
        asked: Asked,
        rest: Rest,
        cycle: RequestResponseCycle,
        id: str,
        began: float,
    ) -> Application:
        """The rest of an answer, as an application."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
            answer = await rest
            if cycle.disconnected or self.flow.write_paused:
                await front.reply(send, asked.route, asked.method, asked.origin, answer, id, began)
                return
            cycle.response_started = cycle.response_complete = True
            self._say(front, asked, answer, id, leaving=not cycle.keep_alive)
            cycle.message_event.set()
            if not cycle.keep_alive:
                self.transport.close()
            cycle.on_response()
            front.tell(asked.route, asked.method, answer.status, began, id)

        return application

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Application) -> None:  # type: ignore[override]
        self._running = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]
