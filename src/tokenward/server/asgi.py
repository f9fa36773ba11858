"""From the wire to an endpoint and back: routing, limits, CORS and the headers of every answer.

Law of this module: plain ASGI 3, so any server can carry it; nothing is done per request that can
be done at the start; whatever goes wrong inside, the answer does not say.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from random import getrandbits
from time import perf_counter

from tokenward.oauth.errors import OAuthError, TemporarilyUnavailable
from tokenward.server.bodies import (
    Application,
    Body,
    Gone,
    Message,
    Receive,
    Scope,
    Send,
    received_from,
)
from tokenward.server.endpoints import Endpoint, errors
from tokenward.server.hooks import Admit, Hook, Seen, lifespan, nothing, too_often
from tokenward.server.http import JSON, Answer, Received
from tokenward.server.proxy import Proxy
from tokenward.server.routing import Pairs, Route, below, error, permissions, plain
from tokenward.server.sockets import Heir, socket_at, sockets

_log = logging.getLogger("tokenward.server")

_STANDING: Pairs = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_HTTPS_ONLY: Pairs = ((b"strict-transport-security", b"max-age=31536000"),)
_CLOSE: Pairs = ((b"connection", b"close"),)

# RFC 9110 §8.6: no Content-Length in a 204; in a 304 it would be that of another answer.
_WITHOUT_LENGTH = (204, 304)
_NEVER: tuple[Pairs | None, Pairs] = (None, ())


class Front:
    """The application.

    ``routes`` is read when the application starts, after ``start`` has run. ``origins`` are those
    that clients registered, as browsers spell them. ``pages`` is another ASGI application for
    paths without a route. ``admit`` is asked before a body is read, and ``seen`` told after an
    answer was sent. ``proxy`` knows whom to believe about where a request came from. ``https``
    says that whoever can reach us can do so by https, ``fast`` that our own server may answer past
    ASGI. A body may have ``longest`` bytes and take ``deadline`` seconds.
    """

    def __init__(
        self,
        *,
        routes: Mapping[str, Endpoint],
        origins: frozenset[str] = frozenset(),
        start: Hook = nothing,
        stop: Hook = nothing,
        pages: Application | None = None,
        admit: Admit | None = None,
        seen: Seen | None = None,
        proxy: Proxy | None = None,
        https: bool = False,
        fast: bool = True,
        longest: int = 64 * 1024,
        deadline: float = 10.0,
    ) -> None:
        self._endpoints = routes
        self._start = start
        self._stop = stop
        self._pages = pages
        self._admit = admit
        self._seen = seen
        self._proxy = proxy
        self._body = Body(longest=longest, deadline=deadline)
        self._standing = _STANDING + (_HTTPS_ONLY if https else ())
        self._last: dict[bytes, tuple[Pairs, Pairs]] = {}
        self._origins = permissions(origins)
        self._compile()
        self.longest = longest
        self.fast = fast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the application (ASGI 3)."""
        if scope["type"] != "http":
            await self._other(scope["type"], receive, send)
            return
        began = perf_counter()
        path, method, raw = scope["path"], scope["method"], scope.get("raw_path")
        # A copy: some servers add the trailer of a chunked body to the list (RFC 9110 §6.5.1).
        fields = tuple(scope["headers"])
        headers = dict(fields)
        length = headers.get(b"content-length", b"0")
        unread = length != b"0" or b"transfer-encoding" in headers
        id = f"{getrandbits(64):016x}"
        route = self._routes.get(path) or below(self._branches, path, raw)
        refused = None
        if self._admit is not None:
            refused = self.refused(received_from(scope, fields, headers, b"", id))
        if refused is None and route is None and self._pages is not None and plain(path, raw):
            await self._page(self._pages, scope, receive, send, id, began)
            return
        if route is None or (raw is not None and raw != route.raw and not route.above):
            route, answer = None, refused or _NOT_FOUND
        elif refused is not None:
            answer = refused
        elif method not in route.methods:
            answer = route.options if method == "OPTIONS" else route.refusal
        else:
            try:
                body = await self._body.read(scope, receive, length) if unread else b""
                unread = False
            except Gone:
                return
            except (Exception, asyncio.CancelledError) as problem:  # noqa: BLE001  even our own
                answer = _excuse(problem, method, route.path, id)
            else:
                answer = await self.answer(route, received_from(scope, fields, headers, body, id))
        origin = headers.get(b"origin", b"")
        await self.reply(send, route, method, origin, answer, id, began, unread=unread)

    async def reply(
        self,
        send: Send,
        route: Route | None,
        method: str,
        origin: bytes,
        answer: Answer,
        id: str,
        began: float,
        *,
        unread: bool = False,
    ) -> None:
        """Send an answer whose request has been read, or will not be if it is ``unread``."""
        own: Pairs = ((b"x-request-id", id.encode()),)
        if route is not None and route.registered:
            own += self.permission(origin)
        if unread:
            # RFC 9112 §9.3: a body nobody reads must not be taken for the next request.
            own += _CLOSE
        status, brought, body = answer
        if status not in _WITHOUT_LENGTH:
            own += ((b"content-length", b"%d" % len(body)),)
        dressed = self.dressed(route, brought) + own
        await send({"type": "http.response.start", "status": status, "headers": dressed})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        self.tell(route, method, status, began, id)

    def refused(self, received: Received) -> Answer | None:
        """What whoever asks too often hears; ``None`` for those who are welcome."""
        if self._admit is None:
            return None
        if self._proxy is not None:
            with suppress(OAuthError):  # nobody knows where it came from, so it is the proxy's
                received = self._proxy.told(received)
        wait = self._admit(received.address)
        return too_often(wait) if wait > 0 else None

    def tell(self, route: Route | None, method: str, status: int, began: float, id: str) -> None:
        """Tell whoever watches that an answer was given."""
        if self._seen is None:
            return
        try:
            path = "" if route is None else route.path
            self._seen(path, method, status, perf_counter() - began, id)
        except Exception:  # noqa: BLE001  the answer was given, and a good one
            _log.exception("what watches the answers failed")

    def route(self, raw: bytes) -> Route | None:
        """Where this path leads, as it is on the wire and without a query."""
        return self._hot.get(raw)

    async def answer(self, route: Route, received: Received) -> Answer:
        """What the endpoint says, or what is said in its place; raises nothing."""
        try:
            if self._proxy is not None:
                received = self._proxy.told(received)
            return await route.endpoint.answer(received)
        except (Exception, asyncio.CancelledError) as problem:  # noqa: BLE001  even our own
            return _excuse(problem, received.method, route.path, received.id)

    def upgrade(self, received: Received) -> Heir | None:
        """Who goes on with this connection, if it asks for a WebSocket that is to be had here."""
        endpoint = socket_at(received.path, self._sockets)
        if endpoint is None or self.refused(received) is not None:
            return None
        try:
            return endpoint.upgrade(received if self._proxy is None else self._proxy.told(received))
        except OAuthError:
            return None  # and the endpoint says why, the usual way

    def permission(self, origin: bytes) -> Pairs:
        """What pages of this origin hear about reading the answers at a registered route."""
        return self._origins.get(origin, ())

    def dressed(self, route: Route | None, headers: Pairs) -> Pairs:
        """These headers, and those that every answer at this route has.

        Most endpoints bring the same tuple every time, so the last one is remembered.
        """
        if route is None:
            return self._complete(headers)
        last, dressed = self._last.get(route.raw, _NEVER)
        if last is not headers:
            dressed = self._complete(headers) + route.sharing
            self._last[route.raw] = headers, dressed
        return dressed

    def _complete(self, headers: Pairs) -> Pairs:
        """These headers, and those that every answer has unless it brings its own."""
        names = {name for name, _ in headers}
        return (*headers, *(pair for pair in self._standing if pair[0] not in names))

    async def _page(
        self,
        pages: Application,
        scope: Scope,
        receive: Receive,
        send: Send,
        id: str,
        began: float,
    ) -> None:
        """Let the pages answer; what they do not say about security is said for them."""
        own: Pairs = ((b"x-request-id", id.encode()),)
        status = 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = tuple((name.lower(), value) for name, value in message.get("headers", ()))
                message = {**message, "headers": self._complete(headers) + own}
            await send(message)

        try:
            await pages(scope, receive, dressed)
        except Exception as problem:
            if status:
                raise  # half an answer cannot be taken back: the server breaks off
            answer = _excuse(problem, scope["method"], scope["path"], id)
            status = answer.status
            length = (b"content-length", b"%d" % len(answer.body))
            headers = (*self._complete(answer.headers), *own, *_CLOSE, length)
            body = b"" if scope["method"] == "HEAD" else answer.body
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        self.tell(None, scope["method"], status, began, id)

    def _compile(self) -> None:
        routes = [Route.to(path, endpoint) for path, endpoint in self._endpoints.items()]
        self._branches = {route.above: route for route in routes if route.above}
        routes = [route for route in routes if not route.above]
        self._routes = {route.path: route for route in routes}
        # The fast lane keeps the head of a request for the next one, so not of these.
        self._hot = {it.raw: it for it in routes if not getattr(it.endpoint, "private", False)}
        self._sockets = sockets(self._endpoints)

    async def _other(self, kind: str, receive: Receive, send: Send) -> None:
        match kind:
            case "lifespan":
                await lifespan(self._begin, self._stop, receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1008})
            case _:
                raise RuntimeError(f"this application does not speak {kind}")

    async def _begin(self) -> None:
        await self._start()
        self._compile()


def _excuse(problem: BaseException, method: str, path: str, id: str) -> Answer:
    """What the caller hears instead of an answer."""
    match problem:
        case OAuthError():
            return errors.json(problem)
        case asyncio.CancelledError():
            return _STOPPING  # we are, and have waited long enough
    # Our own mistake: the caller learns nothing but what to ask us about.
    said = {"request_id": id}
    _log.error("%s %s failed", method, path, exc_info=problem, extra=said)
    return Answer(500, (JSON,), f'{{"error": "server_error", "request_id": "{id}"}}'.encode())


_NOT_FOUND = error(404, "not_found", "There is nothing at this path")
_STOPPING = errors.json(TemporarilyUnavailable("The server is stopping", retry_after=1))
