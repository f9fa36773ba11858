"""A hub by gRPC itself: on a real port, with the library's own client, right and wrong."""

import asyncio
import json
import os
import socket
from contextlib import ExitStack, asynccontextmanager, contextmanager
from time import monotonic, time

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from grpc import aio

from tests.hub import KEY, OPEN_KEY, SECRET, identity, metadata, settings
from tests.server.upstreams.test_registration import certificate_of, pem_of
from tests.textile import PATH, field_of, value_of
from tests.world import claims_of, lifespan
from tokenward.remote.hub.exchange import Hub, HubRefused
from tokenward.server.app import application
from tokenward.server.config import ConfigError
from tokenward.server.hub.tls import Keys
from tokenward.server.renewal import Renewable, changed
from tokenward.server.serve import serving
from tokenward.server.settings import load

SOMEBODY = identity()
TWIN = PATH.replace("threads.pb", "threads.net.pb")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Native:
    """A hub that listens for gRPC."""

    def __init__(self, place, folder):
        self.place, self._trail = place, folder / "audit.jsonl"
        self.url = f"http://{place}"

    def events(self):
        return [json.loads(line) for line in self._trail.read_text().splitlines()]

    async def event(self, number=-1, *, at_least=1):
        """What the trail says, once it does: it is written a moment after the answer."""
        async with asyncio.timeout(5):
            while not self._trail.exists() or len(self.events()) < at_least:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.events()[number]


@contextmanager
def a_native_hub(folder, *, hub="", rule="", more="", tls=None, drain=1.0):
    place = f"127.0.0.1:{free_port()}"
    path = folder / "tokenward.toml"
    text = settings(audit=folder / "audit.jsonl", hub=f'grpc = "{place}"\n{hub}', rule=rule)
    if tls:
        more += f'[listen]\ntls_certificate = "{tls[0]}"\ntls_key = "{tls[1]}"\n'
    path.write_text(text + more)
    with serving(application(load(path, {})), drain=drain):
        yield Native(place, folder)


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    with a_native_hub(tmp_path_factory.mktemp("native")) as hub:
        yield hub


@asynccontextmanager
async def calling(hub, *, path=PATH, said=None):
    """A call as the library's own client makes it."""
    async with aio.insecure_channel(hub.place, (("grpc.use_local_subchannel_pool", 1),)) as channel:
        pairs = metadata() if said is None else said
        pairs = pairs.items() if isinstance(pairs, dict) else pairs
        call = channel.stream_stream(path)(
            metadata=tuple((k, v) for k, v in pairs if k not in ("host", "content-type"))
        )
        yield call
        call.cancel()


async def challenged(call, key=SOMEBODY):
    await call.write(field_of(1, key.public.text.encode()))
    return value_of(1, await call.read())


async def token_for(call, key=SOMEBODY):
    await call.write(field_of(2, key.sign(await challenged(call, key))))
    await call.done_writing()
    token = value_of(2, await call.read()).decode()
    assert await call.read() is aio.EOF
    assert await call.code() is grpc.StatusCode.OK
    return token


async def ended(call):
    """How it ends: the number and the words."""
    try:
        said = await call.read()
    except aio.AioRpcError as exc:
        return exc.code().value[0], exc.details()
    assert said is aio.EOF
    return (await call.code()).value[0], await call.details()


@pytest.mark.parametrize("path", [PATH, TWIN])
async def test_a_token_by_either_name_of_the_method(native, path):
    async with calling(native, path=path) as call:
        claims = claims_of(await token_for(call))
    assert claims["sub"] == SOMEBODY.public.text
    assert set(claims) == {"iat", "iss", "sub", "exp"}


async def test_our_own_client_gets_one(native):
    hub = Hub(url=native.url, native=True, key=KEY, secret=SECRET)
    exchange = await hub.begin(SOMEBODY.public.text, now=time())
    token = await exchange.answer(SOMEBODY.sign(exchange.challenge))
    assert claims_of(token)["sub"] == SOMEBODY.public.text


async def test_the_trail_has_it_once_with_who_and_where_from(tmp_path):
    with a_native_hub(tmp_path) as hub:
        async with calling(hub) as call:
            await token_for(call)
        event = await hub.event()
    assert len(hub.events()) == 1
    assert event["event"] == "hub.getToken"
    assert (event["outcome"], event["caller"], event["subject"], event["rule"]) == (
        "ok",
        "app",
        SOMEBODY.public.text,
        "people of the app",
    )
    assert event["address"] == "127.0.0.1"
    assert len(event["id"]) == 16


REFUSED = {
    "no key": ({}, 16, "Session or API key required"),
    "a key of nobody's": (metadata(key="b" + "c" * 26), 5, "API key not found or is invalid"),
    "no signature": ({"x-textile-api-key": KEY}, 16, "API key signature required"),
    "another's secret": (metadata(secret="b" + "a" * 39), 16, "Bad API key signature"),
    "an old signature": (metadata(-5.0), 16, "Bad API key signature"),
    "one that lasts too long": (metadata(90_000.0), 16, "Bad API key signature"),
    "a session": ({"x-textile-session": "bses"}, 16, "Invalid session"),
    "a key that no rule allows": (
        {"x-textile-api-key": OPEN_KEY},
        7,
        "There is no such token for this caller, or none at all.",
    ),
    "a name twice": (
        [*metadata().items(), ("x-textile-api-key", KEY)],
        3,
        "Malformed request",
    ),
    "bytes where text is": ([*metadata().items(), ("a-bin", b"\xff")], 3, "Malformed request"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_who_may_not_hears_it_in_the_words_of_the_original(native, what):
    said, code, words = REFUSED[what]
    async with calling(native, said=said) as call:
        if code == 7:
            await call.write(field_of(2, SOMEBODY.sign(await challenged(call))))
        assert await ended(call) == (code, words)


NONSENSE = {
    "no key": (b"", (3, "Key is required")),
    "a signature first": (field_of(2, b"s" * 64), (3, "Key is required")),
    "a key that is none": (field_of(1, b"bnone"), (3, "Key is invalid")),
    "no protobuf": (b"\xff" * 12, (3, "Malformed request")),
    "a key that is no text": (field_of(1, b"\xff"), (3, "Malformed request")),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_what_is_no_request_is_told(native, what):
    said, end = NONSENSE[what]
    async with calling(native) as call:
        await call.write(said)
        assert await ended(call) == end


async def test_a_message_that_is_too_long_ends_the_call(native):
    async with calling(native) as call:
        await call.write(field_of(1, b"b" * 10_000))
        code, _ = await ended(call)
    assert code in (1, 8)


async def test_nothing_is_said_and_the_stream_ends(native):
    async with calling(native) as call:
        await call.done_writing()
        assert await ended(call) == (3, "Key is required")


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (field_of(2, b"s" * 64), (2, "bad signature")),
        (field_of(2, b""), (3, "Signature is required")),
        (field_of(1, SOMEBODY.public.text.encode()), (3, "Signature is required")),
        (None, (3, "Signature is required")),
    ],
)
async def test_a_wrong_answer_ends_it(native, answer, end):
    async with calling(native) as call:
        await challenged(call)
        if answer is not None:
            await call.write(answer)
        await call.done_writing()
        assert await ended(call) == end


async def test_a_challenge_is_good_for_its_own_call_alone(native):
    async with calling(native) as one, calling(native) as other:
        signature = SOMEBODY.sign(await challenged(one))
        await challenged(other)
        await other.write(field_of(2, signature))
        assert await ended(other) == (2, "bad signature")
        await one.write(field_of(2, signature))
        assert value_of(2, await one.read())


@pytest.mark.parametrize("path", ["/threads.pb.API/GetThread", "/threads.pb.API/getToken", "/x"])
async def test_there_is_no_other_method(native, path):
    async with calling(native, path=path) as call:
        assert (await ended(call))[0] == 12


async def test_who_does_not_sign_in_time_hears_that(tmp_path):
    with a_native_hub(tmp_path, hub='challenge = "1s"') as hub:
        async with calling(hub) as call:
            await challenged(call)
            assert await ended(call) == (4, "Challenge deadline exceeded")
        event = await hub.event()
    assert event["detail"] == "Challenge deadline exceeded"


async def test_who_leaves_is_in_the_trail_and_holds_no_place(tmp_path):
    with a_native_hub(tmp_path, hub="waiting = 2") as hub:
        for number in range(1, 6):
            async with calling(hub) as call:
                await challenged(call)
            event = await hub.event(at_least=number)
            assert (event["outcome"], event["event"]) == ("refused", "hub.getToken")
        async with calling(hub) as call:
            assert await token_for(call)


async def test_no_more_than_may_are_about_to_sign(tmp_path):
    with a_native_hub(tmp_path, hub="waiting = 1") as hub:
        async with calling(hub) as one:
            challenge = await challenged(one)
            async with calling(hub) as other:
                assert (await ended(other))[0] == 8
            await one.write(field_of(2, SOMEBODY.sign(challenge)))
            assert value_of(2, await one.read())


async def test_an_address_that_comes_too_often_is_turned_away(tmp_path):
    more = '[limits]\naddress = "2/1m"\n'
    with a_native_hub(tmp_path, more=more) as hub:
        ends = []
        for _ in range(4):
            async with calling(hub) as call:
                await call.done_writing()
                ends.append((await ended(call))[0])
    assert ends == [3, 3, 8, 8]


async def test_at_the_end_who_is_about_to_sign_still_may_and_nobody_else(tmp_path):
    with ExitStack() as stack:
        hub = stack.enter_context(a_native_hub(tmp_path))
        async with calling(hub) as call, calling(hub) as idle:
            challenge = await challenged(call)
            await idle.wait_for_connection()
            ending = asyncio.ensure_future(asyncio.to_thread(stack.close))
            assert await ended(idle) == (14, "The server is stopping")
            await call.write(field_of(2, SOMEBODY.sign(challenge)))
            token = value_of(2, await call.read()).decode()
            assert await call.code() is grpc.StatusCode.OK
            await ending
    assert claims_of(token)["sub"] == SOMEBODY.public.text
    assert {event["outcome"] for event in hub.events()} == {"ok", "refused"}


async def test_who_does_not_sign_at_the_end_is_waited_for_shortly(tmp_path):
    with ExitStack() as stack:
        hub = stack.enter_context(a_native_hub(tmp_path))
        async with calling(hub) as call:
            await challenged(call)
            began = monotonic()
            ending = asyncio.ensure_future(asyncio.to_thread(stack.close))
            assert await ended(call) == (14, "The server is stopping")
            await ending
            assert monotonic() - began < 10


# ── TLS, and settings ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    private = ec.generate_private_key(ec.SECP256R1())
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "hub.pem", folder / "key.pem"
    certificate.write_text(certificate_of(private, host="127.0.0.1"))
    key.write_text(pem_of(private))
    return certificate, key


async def test_with_the_certificate_of_the_listener(tmp_path, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with a_native_hub(tmp_path, tls=certificate) as native:
        hub = Hub(url=f"https://{native.place}", native=True, key=KEY, secret=SECRET)
        exchange = await hub.begin(SOMEBODY.public.text, now=time())
        assert await exchange.answer(SOMEBODY.sign(exchange.challenge))
        with pytest.raises(Exception, match="cannot be reached") as caught:
            await Hub(url=native.url, native=True).begin(SOMEBODY.public.text, now=time())
        assert not isinstance(caught.value, HubRefused)


TWO = """
[issuers.two]
url     = "https://two.example.com"
profile = "hub"
grpc    = "127.0.0.1:3006"
"""


@pytest.mark.parametrize(
    ("hub", "more", "said"),
    [
        ('grpc = "0.0.0.0:3006"', "", "would speak in the clear"),
        ('grpc = "hub.example.com:3006"', "", "would speak in the clear"),
        ('grpc = "3006"', "", "must be an address and a port"),
        ('grpc = "127.0.0.1:x"', "", "must be an address and a port"),
        (
            'grpc = "127.0.0.1:3006"',
            TWO,
            "is the port of issuers.hub already",
        ),
        ('grpc = "127.0.0.1:0"', "[listen]\nworkers = 2\n", "must be a port"),
    ],
)
def test_ports_that_cannot_be_are_told_at_the_start(tmp_path, hub, more, said):
    path = tmp_path / "tokenward.toml"
    path.write_text(settings(store=f"sqlite:{tmp_path}/t.db", hub=hub) + more)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert said in str(caught.value)


def test_a_port_that_is_taken_is_told_at_the_start(tmp_path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        path = tmp_path / "tokenward.toml"
        path.write_text(settings(hub=f'grpc = "127.0.0.1:{one.getsockname()[1]}"'))
        app = application(load(path, {}))
        with pytest.raises(OSError, match=r"Cannot listen for gRPC on 127\.0\.0\.1:"), serving(app):
            pass


# ── settings that change while it runs ──────────────────────────────────────────────────────────


@asynccontextmanager
async def renewable(folder, **how):
    """A hub in this event loop, and what makes it be what other settings say."""
    place = f"127.0.0.1:{free_port()}"
    path = folder / "tokenward.toml"

    def loaded(*edits, hub=f'grpc = "{place}"', **more):
        text = settings(audit=folder / "audit.jsonl", hub=hub, **more)
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return load(path, {})

    app = Renewable(loaded(**how))
    async with lifespan(app.front):
        yield Native(place, folder), app, loaded


async def test_new_rules_count_at_the_same_port_and_who_was_let_in_goes_on(tmp_path):
    async with renewable(tmp_path) as (hub, app, loaded), calling(hub) as before:
        challenge = await challenged(before)
        await app.renew(loaded(rule=f'claims = {{ key = "{identity().public.text}" }}'))
        async with calling(hub) as call:
            await call.write(field_of(2, SOMEBODY.sign(await challenged(call))))
            assert (await ended(call))[0] == 7
        await before.write(field_of(2, SOMEBODY.sign(challenge)))
        assert value_of(2, await before.read())


async def test_where_the_hub_is_gone_nobody_answers_any_more(tmp_path):
    gone = [
        ('[issuers.hub]\nurl     = "https://tokens.example.com/hub"\nprofile = "hub"\n', ""),
        ('[tokens.threads]\nfrom     = "hub"', '[tokens.threads]\nfrom     = "main"'),
    ]
    async with renewable(tmp_path) as (hub, app, loaded):
        await app.renew(loaded(*gone, hub=""))
        await asyncio.wait(app._server.natives._ending)
        async with calling(hub) as call:
            assert (await ended(call))[0] == 14


async def test_a_port_that_changes_waits_for_a_restart(tmp_path):
    async with renewable(tmp_path) as (hub, app, loaded):
        other = loaded(hub=f'grpc = "127.0.0.1:{free_port()}"')
        assert changed(app.settings, other) == ["issuers.hub.grpc"]
        assert changed(app.settings, loaded(hub="")) == ["issuers.hub.grpc"]
        assert changed(app.settings, loaded()) == []
        await app.renew(other)
        async with calling(hub) as call:
            assert await token_for(call)


# ── TLS that changes while it runs ──────────────────────────────────────────────────────────────


def test_a_certificate_is_read_anew_when_its_files_change_and_kept_when_they_are_broken(
    tmp_path, certificate
):
    pem, key = tmp_path / "hub.pem", tmp_path / "key.pem"
    pem.write_bytes(certificate[0].read_bytes())
    key.write_bytes(certificate[1].read_bytes())
    keys = Keys(certificate=str(pem), key=str(key))
    assert keys._read() is not None
    assert keys._renewed() is None
    os.utime(pem, (1, 1))
    assert keys._renewed() is not None
    assert keys._renewed() is None
    pem.unlink()
    assert keys._renewed() is None


def test_a_key_with_a_password_is_opened(tmp_path, certificate):
    private = load_pem_private_key(certificate[1].read_bytes(), None)
    key = tmp_path / "key.pem"
    key.write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass"))
    )
    assert Keys(certificate=str(certificate[0]), key=str(key), password="pass")._read() is not None
    with pytest.raises(ValueError, match="password"):
        Keys(certificate=str(certificate[0]), key=str(key), password="other")._read()
