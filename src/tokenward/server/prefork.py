"""Several processes behind one port: a master who serves nobody, and workers who do.

Each worker has a listener of its own and the kernel shares the connections out. The master keeps
all of them open, so that who waits for a worker that died is served by the one in its place.

Law of this module: the master has no threads and no event loop, so a fork is safe at any time.
"""

import gc
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn

NUMBER = "TOKENWARD_WORKER"
"""The environment variable that tells a worker which one it is, from 1."""

FAILED = 1
_HEALTHY = 5.0
"""Seconds after which a worker that dies was no failure to start."""

_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_GRACE = 3.0
"""Seconds a worker has beyond the time that requests have to end."""

_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

Work = Callable[[socket.socket, Callable[[], None], int], int]
"""What a worker does with its listener, until it is told to stop: it calls the second when it is
ready, and ends when the file descriptor does. Gives the exit code."""


@dataclass(slots=True, kw_only=True)
class _Worker:
    number: int
    listener: socket.socket
    pid: int = 0
    said: int = -1
    """Where it says that it is ready."""

    is_ready: bool = False
    began: float = 0.0
    failures: int = 0
    due: float = 0.0
    """When it is to be started again."""

    behind: bool = False
    """The configuration was changed while it started."""


@dataclass(slots=True, kw_only=True)
class Master:
    """Starts workers, one for each listener, and sees to it that there are always as many.

    ``ready`` is called once, when all of them serve; ``renew`` for SIGHUP, and if it agrees the
    workers hear of it; ``died`` is told which worker ended, and how. Requests under way have
    ``drain`` seconds to end.
    """

    listeners: list[socket.socket]
    work: Work
    ready: Callable[[], None]
    renew: Callable[[], bool]
    died: Callable[[int, str], None]
    stopping: Callable[[], None]
    drain: float

    _workers: list[_Worker] = field(init=False)
    _alive: tuple[int, int] = field(init=False)
    _woken: int = field(init=False)
    _all_ready: bool = False
    _stop_by: float = 0.0
    _code: int = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code."""
        self._alive = os.pipe()
        self._workers = [
            _Worker(number=number, listener=listener)
            for number, listener in enumerate(self.listeners, 1)
        ]
        with _hearing() as self._woken:
            gc.collect()
            gc.freeze()  # what is shared stays shared: the collector writes into what it looks at
            for worker in self._workers:
                self._start(worker)
            while self._present() or not self._stop_by:
                self._listen()
                self._bury()
                self._restart()
        return self._code

    def _present(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.pid]

    def _listen(self) -> None:
        """Wait for a signal, a word of a worker, or the time at which something is to be done."""
        talking = {worker.said: worker for worker in self._present() if worker.said >= 0}
        times = [worker.due for worker in self._workers if not worker.pid]
        times = [self._stop_by] if self._stop_by else times
        wait = max(0.0, min(times) - time.monotonic()) if times else None
        readable, _, _ = select.select([self._woken, *talking], [], [], wait)
        for one in readable:
            if one == self._woken:
                for number in os.read(self._woken, 512):
                    self._heard(signal.Signals(number))
            else:
                self._word(talking[one])

    def _word(self, worker: _Worker) -> None:
        word = os.read(worker.said, 1)
        os.close(worker.said)
        worker.said = -1
        worker.is_ready = bool(word)
        if worker.is_ready and worker.behind:
            worker.behind = False
            os.kill(worker.pid, signal.SIGHUP)
        if not self._all_ready and all(one.is_ready for one in self._workers):
            self._all_ready = True
            self.ready()

    def _heard(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            if self._all_ready and not self._stop_by and self.renew():
                for worker in self._present():
                    if worker.is_ready:
                        os.kill(worker.pid, signal.SIGHUP)
                    else:
                        worker.behind = True
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop()

    def _stop(self) -> None:
        if not self._stop_by:
            self._stop_by = time.monotonic() + self.drain + _GRACE
            self.stopping()
            for worker in self._workers:  # while we hold them, somebody could still come in
                worker.listener.close()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._present():
            os.kill(worker.pid, number)

    def _bury(self) -> None:
        """Take leave of those who have ended."""
        if self._stop_by and time.monotonic() >= self._stop_by:
            self._send(signal.SIGKILL)
            self._stop_by = time.monotonic() + _GRACE
        for worker in self._present():
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._gone(worker, os.waitstatus_to_exitcode(status))

    def _gone(self, worker: _Worker, code: int) -> None:
        if worker.said >= 0:
            self._word(worker)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        lived = time.monotonic() - worker.began
        ready, worker.pid, worker.is_ready = worker.is_ready, 0, False
        if self._stop_by:
            # One that had not begun to listen to signals may be ended by the first of them.
            if code and not (code == -signal.SIGTERM and not ready):
                self.died(worker.number, how)
                self._code = FAILED
            return
        self.died(worker.number, how)
        if not self._all_ready:  # it will not do better next time
            self._code = FAILED
            self._stop()
            return
        worker.failures = 0 if ready and lived > _HEALTHY else worker.failures + 1
        pause = _PAUSE * 2 ** (worker.failures - 1) if worker.failures > 1 else 0.0
        worker.due = time.monotonic() + min(pause, _LONGEST_PAUSE)

    def _restart(self) -> None:
        for worker in self._workers:
            if not worker.pid and not self._stop_by and time.monotonic() >= worker.due:
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        hears, says = os.pipe()
        worker.began, worker.behind = time.monotonic(), False
        # A signal between the fork and the worker's own ears would be heard by ours.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        worker.pid = os.fork()
        if not worker.pid:
            os.close(hears)
            self._be(worker, says, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(says)
        worker.said = hears

    # ── in the worker ───────────────────────────────────────────────────────────────────────────

    def _be(self, worker: _Worker, says: int, mask: set[int]) -> NoReturn:
        code = FAILED
        try:
            signal.set_wakeup_fd(-1)
            for number in _HEARD:
                signal.signal(number, signal.SIG_DFL)
            # Until it listens, a worker that is told to read anew has nothing to forget.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(self._alive[1])
            for other in self._workers:
                if other is not worker:
                    other.listener.close()
                    if other.said >= 0:
                        os.close(other.said)
            os.environ[NUMBER] = str(worker.number)

            def ready() -> None:
                with suppress(OSError):
                    os.write(says, b"+")
                os.close(says)

            code = self.work(worker.listener, ready, self._alive[0])
        except BaseException:  # noqa: BLE001  above us is the master's own code, which is not ours
            traceback.print_exc()
        finally:
            os._exit(code)


@contextmanager
def _hearing() -> Iterator[int]:
    """Signals come as bytes into the file descriptor this gives."""

    def nothing(_signal: int, _frame: object) -> None:
        pass

    hears, says = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    former = signal.set_wakeup_fd(says)
    before = {number: signal.signal(number, nothing) for number in _HEARD}
    try:
        yield hears
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(former)
        os.close(hears)
        os.close(says)
