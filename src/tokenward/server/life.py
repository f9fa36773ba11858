"""The life of an application around the serving: it starts before, and stops after (ASGI)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tokenward.server.bodies import Application, Message


@contextlib.asynccontextmanager
async def alive(app: Application) -> AsyncIterator[None]:
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
