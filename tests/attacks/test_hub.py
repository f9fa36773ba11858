"""A hub under those who ended the original's process: who never sign, and who send anything.

Whoever does get on with it is served meanwhile, and nothing of it stays in memory.
"""

import asyncio
import json
import os
import signal

import pytest

from tests.attacks.lab import REPORTS, Process
from tests.hub import (
    CLIENT_SECRET,
    END,
    Client,
    asking,
    block,
    framed,
    identity,
    message,
    metadata,
    settings,
)
from tests.world import claims_of

CROWD, RABBLE = 500, 200
MOST_MORE = 8 * 1024
"""KB that a server may have more of after the second crowd than after the first."""

PEOPLE = [identity() for _ in range(10)]
JUNK = [
    framed(b"text", 1),
    framed(b"\xff" * 100),
    framed(b"", 3),
    framed(b"", length=1 << 50),
    b"\x82\x05hello",
    b"GET / HTTP/1.1\r\n\r\n",
    framed(b"x", 0),
    framed(b"?" * 125, 9) * 100,
    framed(b"x" * 8000, final=False) * 20,
    framed(b"", final=False) + framed(b"", 0, final=False) * 5000,
    framed(block(metadata(1800))) + framed(b"\xff"),
    framed(block(metadata(1800))) + framed(b"\0\0\xff\xff\xff\xff"),
    framed(block(metadata(1800))) + framed(b"\0\0\0\0\0\x02\x0b\x00"),
    framed(block(metadata(1800))) + framed(message(1, b"bbaareinobody")),
    b"\0" * 200_000,
]


class Hub(Process):
    """A server with a hub."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def events(self):
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
def hub(tmp_path):
    hub = Hub(tmp_path, settings(store="sqlite:kept.db", audit=tmp_path / "audit.jsonl"))
    hub.start()
    yield hub
    if hub.child.poll() is None:
        hub.kill()


async def crowd(hub):
    """Many challenges at once, and junk while they wait; then all of them are answered."""
    said, waiting, everybody = metadata(600), [], asyncio.Event()

    async def one(number):
        somebody = PEOPLE[number % len(PEOPLE)]
        async with asking(hub.url) as client:
            challenge = await client.challenge(somebody, said)
            waiting.append(number)
            await everybody.wait()
            client.send(message(2, somebody.sign(challenge)), END)
            return somebody.public.text, (await client.listen()).token

    async def junk(number):
        async with asking(hub.url) as client:
            client.raw(JUNK[number % len(JUNK)] if number % 16 else os.urandom(3000))
            heard = await client.listen()
            assert (heard.closed, heard.token) == (True, "")

    asked = [asyncio.create_task(one(number)) for number in range(CROWD)]
    while len(waiting) < CROWD:
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in asked)
    rabble = asyncio.gather(*[junk(number) for number in range(RABBLE)])
    await others(hub, until=rabble)
    everybody.set()
    for name, token in await asyncio.gather(*asked):
        assert claims_of(token)["sub"] == name


async def others(hub, *, until):
    """Ask as everybody does, for as long as this takes."""
    answered = 0
    while not until.done() or answered < 5:
        answer = await asyncio.to_thread(ask, hub)
        assert answer.status == 200
        answered += 1
    await until


def ask(hub):
    """A token by client credentials."""
    return hub.post(form=REPORTS, auth=("nightly", CLIENT_SECRET))


async def leave(hub):
    """As many who are shown a challenge and go away."""
    said = metadata(600)

    async def one(number):
        client = await Client.open(hub.url)
        await client.challenge(PEOPLE[number % len(PEOPLE)], said)
        client.writer.transport.abort()

    await asyncio.gather(*[one(number) for number in range(CROWD)])


async def test_a_crowd_is_served_while_a_rabble_shouts_and_nothing_of_it_stays(hub):
    await crowd(hub)
    await leave(hub)
    before = hub.memory
    await crowd(hub)
    await leave(hub)
    assert hub.memory - before < MOST_MORE, (before, hub.memory)
    assert hub.end(signal.SIGTERM) == 0
    assert "raceback" not in hub.stderr
    told = [event for event in hub.events() if event["event"] == "hub.getToken"]
    assert len(told) == 2 * (CROWD + RABBLE + CROWD)
    assert len([event for event in told if event["outcome"] == "ok"]) == 2 * CROWD


async def test_at_the_end_of_the_process_who_is_about_to_sign_may_and_nobody_is_cut_off(hub):
    somebody = PEOPLE[0]
    async with asking(hub.url) as signing, asking(hub.url) as idle, asking(hub.url) as never:
        challenge = await signing.challenge(somebody)
        await never.challenge(somebody)
        ending = asyncio.create_task(asyncio.to_thread(hub.end, signal.SIGTERM))
        heard = await idle.listen()
        assert (heard.status, heard.message, heard.code) == (14, "The server is stopping", 1000)
        signing.send(message(2, somebody.sign(challenge)), END)
        heard = await signing.listen()
        assert (claims_of(heard.token)["sub"], heard.code) == (somebody.public.text, 1000)
        heard = await never.listen()
        assert (heard.status, heard.code) == (14, 1000)
        assert await ending == 0
    assert "raceback" not in hub.stderr
