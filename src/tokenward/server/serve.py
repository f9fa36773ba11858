"""Runs the application: opens the port, says when it is ready, and stops without losing anybody.

Law of this module: a worker that serves tokens is small, so nothing that only pages, databases or
the command line need is imported here.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from ssl import SSLContext
from types import FrameType
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from tokenward.server.bodies import Application
from tokenward.server.bounds import Limits
from tokenward.server.fastlane import FastLane
from tokenward.server.guard import Guard
from tokenward.server.life import alive
from tokenward.server.listening import BACKLOG, let_in, listen, turn_away, url_of, welcome
from tokenward.server.logs import log_to
from tokenward.server.notify import STOPPING, notify

Ready = Callable[[str], None]

Renew = Callable[[], Awaitable[SSLContext | None]]
"""Called for SIGHUP: be what the configuration now says; how to speak TLS from now on."""

DRAIN = 10.0
_LAST_WORDS = 1.0
_HANDSHAKE = 5.0
"""Seconds a client has for the beginning of TLS."""

_BEGUN = 0.05
"""Seconds in which connections that have begun get through, when nobody new may begin one."""

_ENDINGS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a server serves: what it tells whom, what bounds it has, and how it speaks."""

    ready: Ready = lambda _: None
    drain: float = DRAIN
    limits: Limits = field(default_factory=Limits)
    tls: SSLContext | None = None
    renew: Renew | None = None
    alive: int | None = None
    """A file descriptor that comes to its end when nobody needs us any more."""


def serve(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Ready = lambda _: None,
    drain: float = DRAIN,
    limits: Limits | None = None,
    listener: socket.socket | None = None,
    attended: bool = False,
    tls: SSLContext | None = None,
    renew: Renew | None = None,
    alive: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return; SIGHUP ends it only if somebody is ``attended``.

    ``ready`` hears the URL as soon as requests are answered. Requests that are under way at the
    end have ``drain`` seconds; a second signal cuts them short. ``renew`` is what SIGHUP is for
    otherwise. A worker also stops when the file descriptor ``alive`` comes to its end. Raises
    ``CannotListen``, and whatever ``app`` raises when it starts or stops.
    """
    log_to(sys.stderr)
    listener = listener or listen(host, port)
    url = url_of(host, listener.getsockname()[1], tls=tls is not None)
    manner = Manner(
        ready=ready,
        drain=drain,
        limits=limits or Limits(),
        tls=tls,
        renew=renew,
        alive=alive,
    )
    server = _Server(app, url, manner)
    endings = _ENDINGS if alive is None else (signal.SIGTERM,)  # Ctrl-C is for whoever began us
    with _signals(server, (*endings, signal.SIGHUP) if attended else endings):
        server.run_with(listener)


@contextlib.contextmanager
def serving(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    drain: float = 1.0,
    limits: Limits | None = None,
    tls: SSLContext | None = None,
) -> Iterator[str]:
    """Serve from a thread for as long as the block takes; gives the URL."""
    listener = listen(host, port)
    url: Future[str] = Future()
    manner = Manner(ready=url.set_result, drain=drain, limits=limits or Limits(), tls=tls)
    server = _Server(app, url_of(host, listener.getsockname()[1], tls=tls is not None), manner)

    def run() -> None:
        try:
            server.run_with(listener)
        except BaseException as exc:
            if url.done():
                raise
            url.set_exception(exc)

    thread = threading.Thread(target=run, name="tokenward", daemon=True)
    thread.start()
    try:
        yield url.result()
    finally:
        server.should_exit = True
        thread.join()


class _Server(Server):
    """Uvicorn, with our guard, our signals and nothing it would say or believe by itself."""

    def __init__(self, app: Application, url: str, manner: Manner) -> None:
        super().__init__(
            Config(
                app,
                http=FastLane.within(manner.limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                interface="asgi3",
                timeout_graceful_shutdown=manner.drain,  # type: ignore[arg-type]  # seconds, asyncio's
            )
        )
        self._app = app
        self._url = url
        self._manner = manner
        self._tls = manner.tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._again = False

    def run_with(self, listener: socket.socket) -> None:
        """Serve until told to stop."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._life(listener))

    async def _life(self, listener: socket.socket) -> None:
        with listener:
            async with alive(self._app):
                await self.serve(sockets=[listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self._loop = asyncio.get_running_loop()
        self._listeners = sockets or []
        for listener in self._listeners:
            welcome(listener)
            self.servers.append(await self._door(listener.dup()))
        if self._manner.alive is not None:
            self._loop.add_reader(self._manner.alive, self._abandoned)
        if not self.should_exit:
            self._manner.ready(self._url)

    def _abandoned(self) -> None:
        if self._loop is not None and self._manner.alive is not None:
            self._loop.remove_reader(self._manner.alive)
        self.should_exit = True

    async def _door(self, listener: socket.socket) -> Any:
        """Let people in, by TLS if that is how we speak now."""
        tls = self._tls
        return await asyncio.get_running_loop().create_server(
            self._guard,
            sock=listener,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=_HANDSHAKE if tls else None,
        )

    def _guard(self) -> Guard:
        make: Any = self.config.http_protocol_class
        made: Guard = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    # ── be what the configuration now says ──────────────────────────────────────────────────────

    def renew_soon(self) -> None:
        """As soon as the loop can; called by a signal."""
        if self._loop is not None and self._manner.renew is not None:
            self._loop.call_soon_threadsafe(self._begin_renewal)

    def _begin_renewal(self) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(self._renew())
        else:
            self._again = True  # what it has read may be old by now

    async def _renew(self) -> None:
        renew = self._manner.renew
        while renew is not None and not self.should_exit:
            self._again = False
            tls = await renew()
            if tls is not None and not self.should_exit:
                self._tls = tls
                # A new door into the same queue: who waits in it is let in, and who is in stays.
                doors = [await self._door(listener.dup()) for listener in self._listeners]
                former, self.servers = self.servers, doors
                for door in former:
                    door.close()
                for connection in list(self.server_state.connections):
                    connection.renewed()  # type: ignore[union-attr]  # all of them are our guards
            if not self._again:
                return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._manner.alive is None:
            notify(STOPPING)
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait((self._renewing,))
        for listener in sockets or []:
            turn_away(listener)
        await asyncio.sleep(_BEGUN)
        # Nothing is waited for between the last of these and the closing of the port.
        late = [one for listener in sockets or [] for one in let_in(listener)]
        answered = [asyncio.create_task(self._answer(connection)) for connection in late]
        await super().shutdown(sockets)
        await asyncio.gather(*answered, return_exceptions=True)
        hanging = list(self.server_state.tasks)
        for task in hanging:
            if not task.cancelling():
                task.cancel()
        if hanging:
            await asyncio.wait(hanging, timeout=_LAST_WORDS)
            await asyncio.sleep(0)  # for what they wrote to go out
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def _answer(self, connection: socket.socket) -> None:
        """Serve somebody who came while we were leaving; they may have asked already."""

        loop = asyncio.get_running_loop()
        _, protocol = await loop.connect_accepted_socket(self._guard, connection, ssl=self._tls)
        protocol.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None here: uvicorn would raise them again in the end, and the exit code would be 143."""
        yield


@contextlib.contextmanager
def _signals(server: _Server, endings: tuple[signal.Signals, ...]) -> Iterator[None]:
    """These signals stop the server, the second one at once; a hang-up that is not meant, never."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    def renew(_signal: int, _frame: FrameType | None) -> None:
        server.renew_soon()

    handlers: dict[signal.Signals, Any] = {signal.SIGHUP: renew, signal.SIGINT: signal.SIG_IGN}
    handlers.update(dict.fromkeys(endings, stop))
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
