"""The server as a program: it starts, reads its configuration anew when it is told to, and ends.

Law of this module: what cannot be used is said before anything begins, and while it runs a
configuration that cannot be used changes nothing.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from ssl import SSLContext

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.listening import CannotListen, listen, url_of
from tokenward.server.notify import READY, STOPPING, notify, reloading
from tokenward.server.prefork import FAILED, Master
from tokenward.server.renewal import Renewable, changed
from tokenward.server.renewal import kept as fixed
from tokenward.server.seal import SealBroken
from tokenward.server.serve import Ready, serve
from tokenward.server.settings import ConfigError, Settings
from tokenward.server.stores import WrongStore
from tokenward.server.tls import context

CONFIGURATION = 78

Tell = Callable[[str, dict[str, str]], None]
"""Says that something happened, and what there is to know about it."""

_CANNOT_START = (WrongStore, TemporarilyUnavailable, SealBroken, OSError)


def _told(exc: Exception) -> str:
    """Why not, in words where there are some for whoever reads them."""
    return str(exc) if isinstance(exc, _CANNOT_START) else type(exc).__name__


def refused(exc: ConfigError, tell: Tell) -> None:
    """Say all that is wrong with a configuration."""
    for problem in exc.problems:
        tell("error", asdict(problem))


@dataclass(slots=True, kw_only=True)
class Program:
    """``settings`` are those to begin with, and ``read`` finds out what they are now."""

    read: Callable[[], Settings]
    tell: Tell
    settings: Settings
    _app: Renewable = field(init=False)
    _tls: SSLContext | None = field(init=False)

    def run(self) -> int:
        """Serve until told to stop; the exit code. Raises ``ConfigError`` before it begins."""
        self._prepare(self.settings)
        listen_ = self.settings.listen
        for warning in self.settings.warnings:
            self.tell("warning", asdict(warning))
        return self._work(None, self._ready, None) if listen_.workers == 1 else self._together()

    def _prepare(self, settings: Settings) -> None:
        """Have all that follows from the settings; raises ``ConfigError`` and has what it had."""
        tls = context(settings.listen.tls) if settings.listen.tls else None
        self._app = Renewable(settings)
        self._tls, self.settings = tls, settings

    def _ready(self, url: str) -> None:
        self.tell("ready", {"message": f"serving on {url}", "url": url})
        notify(READY)

    def _work(self, listener: socket.socket | None, ready: Ready, alive: int | None) -> int:
        """Be a whole server; the exit code when it is over."""
        at = self.settings.listen
        try:
            serve(
                self._app.front,
                host=at.host,
                port=at.port,
                ready=ready,
                drain=at.drain,
                listener=listener,
                tls=self._tls,
                renew=self._renew if alive is None else self._renew_quietly,
                alive=alive,
            )
        except CannotListen as exc:
            self.tell("failed", {"message": str(exc)})
            return FAILED
        except _CANNOT_START as exc:
            self.tell("failed", {"message": f"cannot start: {exc}"})
            return FAILED
        return 0

    def _together(self) -> int:
        """Do the same in several processes; the exit code when it is over."""
        at = self.settings.listen
        try:
            listeners = [listen(at.host, at.port)]
            port = listeners[0].getsockname()[1]
            beside = range(1, at.workers)
            listeners += [listen(at.host, port, beside=True) for _ in beside]
        except CannotListen as exc:
            self.tell("failed", {"message": str(exc)})
            return FAILED
        url = url_of(at.host, port, tls=at.tls is not None)
        return Master(
            listeners=listeners,
            work=lambda listener, ready, alive: self._work(listener, lambda _: ready(), alive),
            ready=lambda: self._ready(url),
            renew=self._renew_master,
            died=lambda number, how: self.tell("died", {"message": f"worker {number} {how}"}),
            stopping=lambda: notify(STOPPING),
            drain=at.drain,
        ).run()

    # ── the configuration, anew ─────────────────────────────────────────────────────────────────

    async def _renew(self) -> SSLContext | None:
        """The only process there is reads it, and says what came of it."""
        notify(reloading())
        try:
            settings = await asyncio.to_thread(self.read)
            tls = await self._renewed(settings)
        except ConfigError as exc:
            refused(exc, self.tell)
            self._kept()
            return None
        except Exception as exc:  # noqa: BLE001  whatever it is, the server goes on as it was
            self._kept(f": {_told(exc)}")
            return None
        self._done(settings)
        return tls

    async def _renew_quietly(self) -> SSLContext | None:
        """A worker reads what the master has found to be good."""
        try:
            return await self._renewed(await asyncio.to_thread(self.read))
        except Exception as exc:  # noqa: BLE001  whatever it is, the worker goes on as it was
            self._kept(f" in a worker: {_told(exc)}")
            return None

    async def _renewed(self, settings: Settings) -> SSLContext | None:
        began = self.settings.listen.tls
        tls = context(settings.listen.tls) if began and settings.listen.tls else None
        await self._app.renew(settings)
        return tls

    def _renew_master(self) -> bool:
        """Whether the workers may read it: the master tries it first."""
        notify(reloading())
        before = self.settings
        try:
            settings = self.read()
            self._prepare(fixed(before, settings))
        except ConfigError as exc:
            refused(exc, self.tell)
            self._kept()
            return False
        except OSError as exc:
            self._kept(f": {exc}")
            return False
        self._done(settings, before)
        return True

    def _kept(self, why: str = "") -> None:
        self.tell("kept", {"message": f"the configuration stays as it was{why}"})
        notify(READY)

    def _done(self, settings: Settings, before: Settings | None = None) -> None:
        for warning in settings.warnings:
            self.tell("warning", asdict(warning))
        if waits := changed(before or self._app.settings, settings):
            names = ", ".join(waits)
            self.tell("waits", {"message": f"until it is started again, these stay: {names}"})
        self.tell("reloaded", {"message": "the configuration was read anew"})
        notify(READY)
