"""Runs the application: opens the port, says when it is ready, and stops without losing anybody.

Law of this module: a worker that serves tokens is small, so nothing that only pages, databases or
the command line need is imported here.
"""

import asyncio
import contextlib
import errno
import json
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any, TextIO

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from tokenward.server.bodies import Application, Message
from tokenward.server.bounds import Limits
from tokenward.server.fastlane import FastLane
from tokenward.server.guard import Guard

Ready = Callable[[str], None]

DRAIN = 10.0
_BACKLOG, _LAST_WORDS = 2048, 1.0
_ENDINGS = (signal.SIGTERM, signal.SIGINT)
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
_WHY = {
    errno.EADDRINUSE: "another program uses it; stop that one, or choose another port",
    errno.EACCES: "this user may not; ports below 1024 are for root, so choose a higher one",
    errno.EADDRNOTAVAIL: "this machine does not have that address; 127.0.0.1 it always has",
}


class CannotListen(Exception):
    """The port could not be opened, and why."""


def listen(host: str, port: int, *, beside: bool = False) -> socket.socket:
    """Open a port; 0 lets the system choose. Raises ``CannotListen``.

    The first listener makes sure that nobody else has the port. More processes of ours may then
    listen ``beside`` it, and the kernel shares the connections out.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # The protocol must be said: asyncio only sets TCP_NODELAY where it sees IPPROTO_TCP.
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as exc:
        raise CannotListen(f"Cannot listen on {host}: {exc}") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if beside:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        # Set before bind, this would let us join whoever has the port already.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        why = _WHY.get(exc.errno or 0, exc.strerror)
        raise CannotListen(f"Cannot listen on {_url(host, port)}: {why}") from exc
    listener.setblocking(False)
    return listener


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
) -> None:
    """Serve until SIGTERM or SIGINT, then return; SIGHUP ends it only if somebody is ``attended``.

    ``ready`` hears the URL as soon as requests are answered. Requests that are under way at the
    end have ``drain`` seconds; a second signal cuts them short. Raises ``CannotListen``, and
    whatever ``app`` raises when it starts or stops.
    """
    log_to(sys.stderr)
    listener = listener or listen(host, port)
    server = _Server(app, _url(host, listener.getsockname()[1]), ready, drain, limits or Limits())
    with _signals(server, (*_ENDINGS, signal.SIGHUP) if attended else _ENDINGS):
        server.run_with(listener)


@contextlib.contextmanager
def serving(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    drain: float = 1.0,
    limits: Limits | None = None,
) -> Iterator[str]:
    """Serve from a thread for as long as the block takes; gives the URL."""
    listener = listen(host, port)
    url: Future[str] = Future()
    server = _Server(
        app, _url(host, listener.getsockname()[1]), url.set_result, drain, limits or Limits()
    )

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

    def __init__(
        self, app: Application, url: str, ready: Ready, drain: float, limits: Limits
    ) -> None:
        super().__init__(
            Config(
                app,
                http=FastLane.within(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                interface="asgi3",
                timeout_graceful_shutdown=drain,  # type: ignore[arg-type]  # seconds, asyncio's
            )
        )
        self._app = app
        self._url = url
        self._ready = ready

    def run_with(self, listener: socket.socket) -> None:
        """Serve until told to stop."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._life(listener))

    async def _life(self, listener: socket.socket) -> None:
        with listener:
            async with _lifespan(self._app):
                await self.serve(sockets=[listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Nothing is waited for between the last of these and the closing of the port.
        late = [one for listener in sockets or [] for one in _let_in(listener)]
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

        def guard() -> Guard:
            make: Any = self.config.http_protocol_class
            made: Guard = make(
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )
            return made

        loop = asyncio.get_running_loop()
        _, protocol = await loop.connect_accepted_socket(guard, connection)
        protocol.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None here: uvicorn would raise them again in the end, and the exit code would be 143."""
        yield


def _let_in(listener: socket.socket) -> Iterator[socket.socket]:
    """Those whom the kernel has let in already: closing the port would cut them off."""
    for _ in range(_BACKLOG):
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        yield connection


@contextlib.asynccontextmanager
async def _lifespan(app: Application) -> AsyncIterator[None]:
    """The life of the application around the serving; raises what it raises (ASGI lifespan)."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    life = asyncio.ensure_future(app(scope, inbox.get, outbox.put))

    async def come_to(stage: str) -> None:
        await inbox.put({"type": f"lifespan.{stage}"})
        said = asyncio.ensure_future(outbox.get())
        await asyncio.wait((life, said), return_when=asyncio.FIRST_COMPLETED)
        if said.done() and said.result()["type"] == f"lifespan.{stage}.complete":
            return
        said.cancel()
        await life
        raise RuntimeError(f"the application failed at its {stage}")

    await come_to("startup")
    try:
        yield
    finally:
        await come_to("shutdown")
        await life


@contextlib.contextmanager
def _signals(server: Server, endings: tuple[signal.Signals, ...]) -> Iterator[None]:
    """These signals stop the server, the second one at once; a hang-up that is not meant, never."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    handlers: dict[signal.Signals, Any] = {signal.SIGHUP: signal.SIG_IGN}
    handlers.update(dict.fromkeys(endings, stop))
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _url(host: str, port: int) -> str:
    """Where a client on this machine finds us."""
    host = _ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def log_to(stream: TextIO) -> None:
    """Write what goes wrong as JSON lines, unless somebody has already decided about logging."""
    for name in ("tokenward", "uvicorn.error", "stamina"):
        logger = logging.getLogger(name)
        if not logger.hasHandlers():
            handler = logging.StreamHandler(stream)
            handler.setFormatter(JsonLines())
            logger.addHandler(handler)
            logger.setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """One record, one line: time, level, logger, message, and what else there is to say."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is one string in it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if hasattr(record, "request_id"):
            line["request_id"] = record.request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
