"""A hub on a real port, and clients that do as they like."""

import asyncio
import json
import os
import time
from contextlib import contextmanager

import httpx2
import pytest

from tests.hub import (
    END,
    KEY,
    OPEN_KEY,
    PAGE,
    PATH,
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
from tokenward.server import websocket
from tokenward.server.app import application
from tokenward.server.bounds import Limits
from tokenward.server.hub import connection
from tokenward.server.serve import serving
from tokenward.server.settings import load

SOMEBODY = identity()


class Hub:
    def __init__(self, url, folder):
        self.url, self._trail = url, folder / "audit.jsonl"

    def events(self):
        return [json.loads(line) for line in self._trail.read_text().splitlines()]

    def open(self, path=PATH, **how):
        return asking(self.url, path, **how)


@contextmanager
def a_hub(folder, *, drain=1.0, **how):
    path = folder / "tokenward.toml"
    path.write_text(settings(audit=folder / "audit.jsonl", **how))
    app = application(load(path, {}))
    with serving(app, limits=Limits(most_per_address=700), drain=drain) as url:
        yield Hub(url, folder)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with a_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


async def told(hub, **like):
    """The last event like this, once it has been written."""
    for _ in range(500):
        found = [event for event in hub.events() if event.items() >= like.items()]
        if found:
            return found[-1]
        await asyncio.sleep(0.01)
    raise AssertionError(f"no event like {like}")


async def test_who_signs_gets_a_token_that_names_them(hub):
    somebody = identity()
    async with hub.open() as client:
        assert client.status == 101
        assert "sec-websocket-protocol: grpc-websockets\r\n" in client.head
        heard = await client.get_token(somebody)
    assert (heard.status, heard.code, heard.closed) == (0, 1000, True)
    assert claims_of(heard.token)["sub"] == somebody.public.text
    event = await told(hub, event="hub.getToken", subject=somebody.public.text)
    assert event["outcome"] == "ok"
    assert (event["caller"], event["token"], event["rule"]) == (
        "app",
        "threads",
        "people of the app",
    )
    assert event["issuer"] == "hub"
    assert event["token_sha256"]


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "/hub/threads.net.pb.API/GetToken",
        "/threads.pb.API/GetToken",
        "//threads.pb.API/GetToken",
        "/hub//threads.pb.API/GetToken",
        "/any/thing/threads.pb.API/GetToken",
        "/any//thing//threads.net.pb.API/GetToken",
    ],
)
async def test_a_hub_is_where_its_clients_were_told_it_is(hub, path):
    async with hub.open(path) as client:
        assert (await client.get_token(SOMEBODY)).token


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("/threads.pb.API/GetTokens", {}),
        ("/threads.pb.API/GetToken/x", {}),
        ("/threads.pb.API", {}),
        ("/threads.pb.API/gettoken", {}),
        ("/getToken", {}),
        ("/token", {}),
        ("/healthz", {}),
        (PATH, {"subprotocol": "other"}),
        (PATH, {"subprotocol": None}),
        (PATH, {"Sec_WebSocket_Version": "8"}),
        (PATH, {"Sec_WebSocket_Key": "short"}),
        (PATH, {"Upgrade": "h2c"}),
        (PATH, {"Content_Length": "0", "Transfer_Encoding": None, "Upgrade": "x"}),
    ],
)
async def test_nothing_else_becomes_a_socket(hub, path, how):
    async with hub.open(path, **how) as client:
        assert client.status in (200, 400, 401, 404, 405, 426)


async def test_who_asks_without_a_socket_hears_what_to_do(hub):
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        answer = await http.get(PATH)
        assert answer.status_code == 426
        assert answer.headers["upgrade"] == "websocket"
        assert (await http.post(PATH)).status_code == 405


async def test_without_a_hub_no_path_is_a_socket(tmp_path):
    text = settings(audit=tmp_path / "audit.jsonl").replace('profile = "hub"', "")
    (tmp_path / "tokenward.toml").write_text(text)
    app = application(load(tmp_path / "tokenward.toml", {}))
    with serving(app) as url:
        async with asking(url) as client:
            assert client.status == 404


async def test_a_connection_may_serve_first_and_change_hands_later(hub):
    async with hub.open("/healthz", Connection="keep-alive", Upgrade=None) as client:
        length = int(client.head.split("content-length: ")[1].split()[0])
        assert await client.reader.readexactly(length) == b'{"status":"ok"}'
        again = await Client.open(hub.url)
        await again.close()
        client.raw(
            f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: grpc-websockets\r\n\r\n".encode()
            + framed(block(metadata()))
            + framed(message(1, SOMEBODY.public.text.encode()))
        )
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        challenge = (await client.listen(until_challenge=True)).challenge
        client.send(message(2, SOMEBODY.sign(challenge)), END)
        assert (await client.listen()).token


# Refusals


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (metadata(-1), (16, "Bad API key signature")),
        (metadata(7200), (16, "Bad API key signature")),
        (metadata(1800, x_textile_api_sig=None), (16, "API key signature required")),
        (metadata(1800, x_textile_api_key=None), (16, "Session or API key required")),
        (metadata(1800, x_textile_api_key="b" + "c" * 26), (5, "API key not found or is invalid")),
        (metadata(1800, x_textile_api_key=OPEN_KEY), (7, None)),
    ],
)
async def test_a_refusal_is_said_in_band(hub, said, answer):
    code, words = answer
    async with hub.open() as client:
        heard = await client.get_token(SOMEBODY, said)
    assert (heard.status, heard.code, heard.token) == (code, 1000, "")
    assert words in (None, heard.message)
    assert heard.message
    assert (await told(hub, event="hub.getToken", outcome="refused"))["detail"]


async def test_another_signature_is_a_bad_one(hub):
    async with hub.open() as client:
        await client.challenge(SOMEBODY)
        client.send(message(2, SOMEBODY.sign(b"x" * 32)), END)
        heard = await client.listen()
    assert (heard.status, heard.message, heard.token) == (2, "bad signature", "")


async def test_a_challenge_is_answered_once_and_where_it_was_given(hub):
    async with hub.open() as one, hub.open() as other:
        challenge = await one.challenge(SOMEBODY)
        assert await other.challenge(SOMEBODY) != challenge
        other.send(message(2, SOMEBODY.sign(challenge)), END)
        assert (await other.listen()).status == 2
        one.send(message(2, SOMEBODY.sign(challenge)))
        one.send(message(2, SOMEBODY.sign(challenge)))
        heard = await one.listen()
        assert heard.token
        assert len([frame for frame in heard.frames if frame[0] == 2]) == 3
        assert heard.status == 0


async def test_an_empty_request_instead_of_a_signature_is_answered(hub):
    async with hub.open() as client:
        await client.challenge(SOMEBODY)
        client.send(message(None, b""), END)
        heard = await client.listen()
    assert (heard.status, heard.message, heard.code) == (3, "Signature is required", 1000)


@pytest.mark.parametrize(("origin", "status"), [(None, 0), (PAGE, 0), ("https://evil.example", 7)])
async def test_pages_are_those_of_the_application(hub, origin, status):
    async with hub.open(origin=origin) as client:
        assert (await client.get_token(SOMEBODY)).status == status


# Those who do not get on with it


async def test_an_unanswered_challenge_ends_in_its_time(tmp_path):
    with a_hub(tmp_path, hub='challenge = "1s"') as hub:
        began = time.monotonic()
        async with hub.open() as client:
            await client.challenge(SOMEBODY)
            heard = await client.listen()
        assert (heard.status, heard.message) == (4, "Challenge deadline exceeded")
        assert 0.9 < time.monotonic() - began < 10
        async with hub.open() as client:
            assert (await client.get_token(SOMEBODY)).token


async def test_who_says_nothing_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setattr(connection, "SAY", 0.05)
    async with hub.open() as silent, hub.open() as halfway:
        halfway.send(block(metadata()))
        for client in (silent, halfway):
            heard = await client.listen()
            assert (heard.status, heard.message) == (4, "Deadline exceeded")


async def test_who_goes_away_is_told_of_and_nobody_else_minds(hub):
    somebody = identity()
    client = await Client.open(hub.url)
    await client.challenge(somebody)
    client.writer.transport.abort()
    event = await told(hub, detail="the client went away")
    assert (event["event"], event["outcome"]) == ("hub.getToken", "refused")


async def test_who_says_goodbye_hears_it_back(hub):
    async with hub.open() as client:
        client.send(b"\x03\xe8", opcode=8)
        heard = await client.listen()
    assert (heard.code, heard.status) == (1000, None)


async def test_who_does_not_close_is_cut_off(hub, monkeypatch):
    monkeypatch.setattr(websocket, "LEAVE", 0.05)
    async with hub.open() as client:
        client.send(block({"a": "b"}))
        while await client.frame() is not None:
            pass
        assert client.reader.at_eof()


async def test_a_ping_is_answered_and_a_flood_of_them_is_not(hub):
    async with hub.open() as client:
        client.send(b"are you there", opcode=9)
        assert await client.frame() == (10, b"are you there")
        client.send(*[b""] * 40, opcode=9)
        heard = await client.listen()
        assert heard.code == 1002
        assert len([frame for frame in heard.frames if frame[0] == 10]) < 32


JUNK = [
    framed(b"text", 1),
    framed(b"\xff" * 100),
    framed(b"", 3),
    framed(b"", length=1 << 50),
    b"\x82\x05hello",
    b"GET / HTTP/1.1\r\n\r\n",
    os.urandom(3000),
    framed(block(metadata(1800))) + framed(b"\xff"),
    framed(block(metadata(1800))) + framed(b"\0\0\xff\xff\xff\xff"),
    framed(block(metadata(1800))) + framed(b"\0\0\0\0\0\x02\x0b\x00"),
    framed(b"x" * 60_000),
    b"\0" * 200_000,
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
async def test_junk_ends_one_conversation_and_no_other(hub, junk):
    async with hub.open() as other:
        challenge = await other.challenge(SOMEBODY)
        async with hub.open() as client:
            client.raw(junk)
            heard = await client.listen()
            assert heard.closed
            assert heard.token == ""
            assert heard.status in (None, 3)
        other.send(message(2, SOMEBODY.sign(challenge)), END)
        assert (await other.listen()).token


async def test_there_are_only_so_many_who_may_be_about_to_sign(tmp_path):
    with a_hub(tmp_path, hub="waiting = 3") as hub:
        there = [await Client.open(hub.url) for _ in range(3)]
        for client in there:
            await client.challenge(SOMEBODY)
        async with hub.open() as client:
            heard = await client.listen()
            assert (heard.status, heard.message[:8]) == (8, "Too many")
        await there.pop().close()
        await told(hub, detail="the client went away")
        async with hub.open() as client:
            assert (await client.get_token(SOMEBODY)).token
        for client in there:
            await client.close()


async def test_who_asks_too_often_is_not_let_in(tmp_path):
    text = settings(audit=tmp_path / "audit.jsonl") + '[limits]\naddress = "3/m"\n'
    (tmp_path / "tokenward.toml").write_text(text)
    app = application(load(tmp_path / "tokenward.toml", {}))
    with serving(app) as url:
        found = []
        for _ in range(4):
            async with asking(url) as client:
                found.append(client.status)
    assert found == [101, 101, 101, 429]


async def outcomes(url, *asked):
    """How each of these ends, one after the other: who asks, and with what metadata."""
    found = []
    for somebody, said in asked:
        async with asking(url) as client:
            found.append((await client.get_token(somebody, said)).status)
    return found


async def test_who_guesses_too_often_is_not_heard_and_nobody_else_minds(tmp_path):
    text = settings(audit=tmp_path / "audit.jsonl") + '[limits]\nguessing = "3/m"\n'
    text = text.replace('caller = "app"\n', 'caller = "trial"\n')
    (tmp_path / "tokenward.toml").write_text(text)
    wrong = SOMEBODY, metadata(secret="b" + "c" * 39 + "a")
    late, right = (SOMEBODY, metadata(-1)), (SOMEBODY, metadata())
    with serving(application(load(tmp_path / "tokenward.toml", {}))) as url:
        assert await outcomes(url, late, late, late, late) == [16] * 4, "no guesses"
        assert await outcomes(url, wrong, wrong, wrong, wrong, right) == [16, 16, 16, 8, 8]
        trial = SOMEBODY, metadata(key=OPEN_KEY, x_textile_api_sig=None)
        assert await outcomes(url, trial) == [0]


async def test_who_asks_for_more_than_their_share_is_refused_and_others_are_not(tmp_path):
    text = settings(audit=tmp_path / "audit.jsonl").replace(
        "[callers.trial]", 'limit = "2/m"\n[callers.trial]'
    )
    (tmp_path / "tokenward.toml").write_text(text)
    other = identity()
    with serving(application(load(tmp_path / "tokenward.toml", {}))) as url:
        mine, theirs = (SOMEBODY, metadata()), (other, metadata())
        assert await outcomes(url, mine, mine, mine, theirs) == [0, 0, 8, 0]
        async with asking(url) as client:
            heard = await client.get_token(SOMEBODY)
        assert (heard.status, heard.token) == (8, "")
        assert "too often" in heard.message


# The end


async def test_at_the_end_who_is_about_to_sign_may_and_others_hear_that_we_stop(tmp_path):
    context = a_hub(tmp_path, drain=5.0)
    hub = context.__enter__()
    signing, idle = await Client.open(hub.url), await Client.open(hub.url)
    challenge = await signing.challenge(SOMEBODY)
    ending = asyncio.create_task(asyncio.to_thread(context.__exit__, None, None, None))
    heard = await idle.listen()
    assert (heard.status, heard.message) == (14, "The server is stopping")
    assert not ending.done()
    signing.send(message(2, SOMEBODY.sign(challenge)), END)
    assert (await signing.listen()).token
    await ending
    for client in (signing, idle):
        await client.close()


async def test_at_the_end_nobody_is_waited_for_who_does_not_sign(tmp_path, monkeypatch):
    monkeypatch.setattr(websocket, "LEAVE", 0.1)
    context = a_hub(tmp_path, drain=5.0)
    hub = context.__enter__()
    client = await Client.open(hub.url)
    await client.challenge(SOMEBODY)
    ending = asyncio.create_task(asyncio.to_thread(context.__exit__, None, None, None))
    heard = await client.listen()
    assert (heard.status, heard.message) == (14, "The server is stopping")
    await ending
    await client.close()


def test_no_key_that_is_a_secret_is_in_the_trail(hub):
    assert KEY  # which is none
    assert "eyJ" not in hub._trail.read_text()
