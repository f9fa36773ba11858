"""Keeps slow, oversized and ambiguous requests away from the application.

Law of this module: what two HTTP parsers could read differently is refused, not repaired, and
nobody holds a connection without getting on with it.
"""

import asyncio
import math
import ssl
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tokenward.server.bodies import PUNCTUAL
from tokenward.server.bounds import Crowd, Limits, refusal
from tokenward.server.handover import instead
from tokenward.server.heads import Head
from tokenward.server.polite import Polite

_EXTENSIONS: dict[str, object] = {PUNCTUAL: {}}

WAITING = "waiting for the first request"
IDLE = "waiting for another request"
_HEAD = "reading the head of a request"
_BODY = "reading the body of a request"
ANSWERING = "answering all there is"
_LAST = "answering what there is, and deaf to more"
_LEAVING = "about to close"


class _Refused(Exception):
    """Ends the parsing of a request."""


class Guard(HttpToolsProtocol):
    """One connection, watched."""

    _running: RequestResponseCycle | None = None
    limits: ClassVar[Limits] = Limits()
    crowd: ClassVar[Crowd] = Crowd()

    @classmethod
    def within(cls, limits: Limits) -> type["Guard"]:
        """The same with other limits."""
        return type(cls.__name__, (cls,), {"limits": limits, "crowd": Crowd()})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._phase = WAITING
        self._verdict = 400
        self._arrived = self._packet = self._unread = 0
        self.stopping = False
        self._deadline = self.loop.time() + self.limits.head
        self._head = Head()
        shown = transport.get_extra_info("ssl_object")
        der = shown.getpeercert(binary_form=True) if shown is not None else None
        self.certificate = ssl.DER_cert_to_PEM_cert(der) if der else ""
        self._patience = self.limits.shortest()
        self._timer = self.loop.call_later(self._patience, self._watch)
        self.address = self.client[0] if self.client else ""
        excess = max(
            self.crowd.enter(self.address) - self.limits.most_per_address,
            len(self.connections) - self.limits.most_connections,
        )
        if excess > self.limits.most_refused:
            transport.abort()
        elif excess > 0:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.crowd.leave(self.address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase is _LEAVING or self._phase is _LAST:
            self._arrived += len(data)
            if self._arrived > self.limits.most_ignored:
                self.transport.abort()
            return
        self._packet = len(data)
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    data = instead(self, data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self._refuse(self._verdict)
        self._fed()
        if self._phase is _HEAD or self._phase is _BODY:
            self._arrived += self._packet
            self._weigh()
        self._packet = 0

    def on_message_begin(self) -> None:
        if self.transport.is_closing():  # whatever comes after "connection: close" is nobody's
            raise _Refused
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._phase = _HEAD
        self._arrived = 0
        self._deadline = self.loop.time() + self.limits.head

    def on_header(self, name: bytes, value: bytes) -> None:
        if value.endswith((b" ", b"\t")):  # RFC 9110 §5.5: not part of the value
            value = value.rstrip(b" \t")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if (verdict := self._objection()) is not None:
            self._verdict = verdict
            raise _Refused
        if not self.parser.should_upgrade():
            self._begin()
        elif self.parser.get_method() == b"CONNECT":  # that is no offer which could be ignored
            raise _Refused
        # Else data_received feeds it again, without the offer.

    def _begin(self) -> None:
        """Hand the request to the application, which may ask for the rest of it."""
        self._phase = _BODY
        self._deadline = self.loop.time() + self.limits.body
        head = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope, and forgets these
        self.url, self.headers, self.expect_100_continue = head
        scope: Any = self.scope
        scope["headers"], scope["extensions"] = self.headers, self._extensions()
        super().on_headers_complete()
        if self.stopping:
            self.cycle.keep_alive = False
        # Fields of a chunked body's trailer end here from now on, not among the headers
        # (RFC 9110 §6.5.1): who checks headers in front of us may not have looked at them.
        self.headers = []

    def _extensions(self) -> dict[str, object]:
        """What the application may know of the connection (ASGI extensions)."""
        tls = {"client_cert_chain": [self.certificate]}
        return {**_EXTENSIONS, "tls": tls} if self.certificate else _EXTENSIONS

    def _fed(self) -> None:
        """All that has arrived so far has been looked at."""

    def on_message_complete(self) -> None:
        if self._phase is _BODY:
            super().on_message_complete()
            self._phase, self._deadline = ANSWERING, math.inf
            if self.cycle.response_complete:
                self._wait()

    def answered(self) -> None:
        """The request has been answered, whole as it came."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._phase, self._deadline = _LEAVING, self.loop.time() + self.limits.write
        else:
            self._wait()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._phase, self._deadline = _LEAVING, self.loop.time() + self.limits.write
            return
        if self._phase is _LEAVING:
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._phase is ANSWERING:
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._deadline = min(self._deadline, self.loop.time() + self.limits.write)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._phase is ANSWERING or self._phase is _LAST:
            self._deadline = math.inf
        elif self._phase is IDLE:
            self._wait()  # for the next request, from when the answer has been read

    def shutdown(self) -> None:
        """Answer what has been asked, and what is being asked if it is complete in a moment.

        Somebody who has just connected may have asked already, and we only have not looked yet.
        """
        self.stopping = True
        if self.under_way():
            self.cycle.keep_alive = False
        if self._phase is IDLE:
            self.transport.close()
        elif self._phase in (WAITING, _HEAD, _BODY):
            self._deadline = min(self._deadline, self.loop.time() + self.limits.leave)

    def renewed(self) -> None:
        """Others may be believed from now on: whoever showed a certificate is to show it again."""
        if self.certificate:
            self.shutdown()

    def leave(self) -> None:
        """Close, but not before the client could hear what we said.

        Closing with something unread makes the kernel reset the connection, and the client might
        lose the answer (RFC 9112 §9.6).
        """
        self._phase, self._deadline = _LEAVING, self.loop.time() + self.limits.leave
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _wait(self) -> None:
        self._phase, self._deadline = IDLE, self.loop.time() + self.limits.idle

    def _objection(self) -> int | None:
        """The status that says what is wrong with this head, if anything is."""
        limits, version = self.limits, self.parser.get_http_version()
        if len(self.url) > limits.longest_target:
            return 414
        if len(self.headers) > limits.most_fields or self._too_heavy():
            return 431
        if version not in ("1.1", "1.0"):
            return 505
        if len(self.pipeline) >= limits.most_pipelined:
            return 400
        return None if self._head.read(self.url, self.headers, version) else 400

    def _too_heavy(self) -> bool:
        most = self.limits.longest_head
        if self._arrived + self._packet <= most:
            return False
        return sum(len(name) + len(value) for name, value in self.headers) > most

    def _weigh(self) -> None:
        """Look at a request of which only a part has arrived."""
        limits = self.limits
        if self._phase is _HEAD:
            if len(self.url) > limits.longest_target:
                self._refuse(414)
            elif self._arrived > limits.longest_target + limits.longest_head:
                self._refuse(431)
        elif self._arrived > limits.longest_request:
            self._refuse(413)
        else:
            self.cycle.transport = Polite(self.transport, self.leave)

    def _watch(self) -> None:
        """Look at the clock once in a while, instead of setting it with every request."""
        now = self.loop.time()
        if now >= self._deadline:
            self._overdue(now)
        if self.parser is not None:
            delay = max(0.0, min(self._deadline - now, self._patience))
            self._timer = self.loop.call_later(delay, self._watch)

    def _overdue(self, now: float) -> None:
        unread, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread and self._unread != unread:
            self._deadline = now + self.limits.write  # the client reads, but slowly
        elif self._unread or self._phase is _LEAVING:
            self.transport.abort()
        elif self._phase is WAITING or self._phase is IDLE:
            self._phase, self._deadline = _LEAVING, now + self.limits.leave
            self.transport.close()
        elif self._phase is _HEAD and self.under_way():
            self._deadline = now + self.limits.head
        else:
            self._refuse(408)

    def under_way(self) -> bool:
        """Whether a request has not been answered."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int) -> None:
        """Answer instead of the application, unless it has begun to; then leave."""
        if self.under_way() and self._phase is not _BODY:
            # Earlier requests of this connection get their answers, and these are the last.
            self._phase, self._deadline = _LAST, math.inf
            self.cycle.keep_alive = False
            return
        if self.pipeline:
            if self._running is not None:
                self._running.disconnected = True  # nobody hears it, and it is no mistake of ours
            self.transport.abort()
            return
        spoken = self._phase is _BODY and self.cycle.response_started
        if self._phase is _BODY:
            self.cycle.waiting_for_100_continue, self.cycle.disconnected = False, True
            self.cycle.message_event.set()
        if not spoken:
            self.transport.write(refusal(status, self.server_state.default_headers))
        self.leave()
