"""A coroutine whose first step is made at once, and whose others, if there are any, in a task.

Most coroutines here never wait, and making a task for each would cost more than all the rest.
"""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any

from tokenward.server.http import Answer

enter, leave = asyncio.tasks._enter_task, asyncio.tasks._leave_task  # noqa: SLF001
# Documented for those who carry coroutines otherwise than in tasks ("Extending asyncio").


class Spare:
    """A task that waits for work, and until then lends its name to first steps."""

    __slots__ = ("context", "task", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.context = copy_context()
        self.work: asyncio.Future[Coroutine[Any, Any, None]] = loop.create_future()
        self.task = loop.create_task(_do(self.work), context=self.context)


async def _do(work: "asyncio.Future[Coroutine[Any, Any, None]]") -> None:
    await (await work)


class Rest:
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
