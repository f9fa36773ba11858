"""A hub that speaks gRPC, as a program with several processes: it is there, changes, and ends."""

import asyncio
import signal
import time

import pytest

from tests.hub import KEY, SECRET, identity, settings
from tests.running import free_port
from tokenward.remote.fetch import RemoteError
from tokenward.remote.hub.exchange import Hub

SOMEBODY = identity()


def a_hub(running, workers=1):
    http, native = free_port(), free_port()
    listen = f'[listen]\naddress = "127.0.0.1:{http}"\nworkers = {workers}\ndrain = "1s"\n'
    text = settings(store="sqlite:kept.db", audit="audit.jsonl", hub=f'grpc = "127.0.0.1:{native}"')
    hub = Hub(url=f"http://127.0.0.1:{native}", native=True, key=KEY, secret=SECRET)
    return running(f"native-{workers}", files={"tokenward.toml": text + listen}), hub


async def token_of(hub, ledger):
    exchange = await hub.begin(SOMEBODY.public.text, now=time.time())
    token = await exchange.answer(SOMEBODY.sign(exchange.challenge))
    ledger.token("a token of a hub", token)


async def for_ever(hub, ledger):
    """Ask until nobody is there."""
    while True:
        await token_of(hub, ledger)


@pytest.mark.parametrize("workers", [1, 2])
async def test_all_processes_answer_and_end_together(running, workers):
    served, hub = a_hub(running, workers)
    with served as server:
        for _ in range(6 * workers):
            await token_of(hub, server.ledger)
        server.process.send_signal(signal.SIGHUP)
        await token_of(hub, server.ledger)
        exchange = await hub.begin(SOMEBODY.public.text, now=time.time())
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            with pytest.raises(RemoteError):
                await for_ever(hub, server.ledger)
        with pytest.raises(RemoteError):
            await exchange.answer(b"s" * 64)
    asked = server.events(event="hub.getToken", outcome="ok")
    assert len(asked) >= 6 * workers + 1
    assert {event["subject"] for event in asked} == {SOMEBODY.public.text}
