"""A Textile Hub that nobody of ours wrote the other side of: by WebSocket and by gRPC, as told.

What it says in a conversation is a function of a ``Talk``; both libraries carry the same ones.
"""

import asyncio
import logging
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import grpc
from grpc import aio
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.upstream import THEIRS
from tokenward.jose.identity import PublicKey
from tokenward.jose.jws import dump_object, encode

PATH = "/threads.pb.API/GetToken"
CHALLENGE = bytes(range(32))


def field_of(number, value):
    """A member of a message that is bytes or text."""
    size, length = len(value), b""
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def value_of(number, message):
    """The only member of a message."""
    assert message[0] == number << 3 | 2
    at = next(at for at in range(1, 6) if message[at] < 0x80) + 1
    size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(message[1:at]))
    assert len(message) == at + size
    return message[at:]


def challenge(nonce=CHALLENGE):
    return field_of(1, nonce)


def token_of(key, **claims):
    """As a Hub's, but for its signature, which nobody here looks at."""
    said = {"iat": 1_800_000_000, "iss": "bbaareihub", "sub": key.text} | claims
    said = {name: value for name, value in said.items() if value is not None}
    head = encode(dump_object({"alg": "Ed25519", "typ": "JWT"}))
    return f"{head}.{encode(dump_object(said))}.{encode(bytes(64))}"


class Over(Exception):
    """The conversation ends so."""

    def __init__(self, code, message=THEIRS):
        super().__init__(code)
        self.code, self.message = code, message


@dataclass
class Talk:
    """One conversation, from the Hub's side."""

    metadata: dict
    hear: object
    say: object
    hang_up: object
    stay: object
    """Say nothing for as long as anybody is there."""

    pieces: object = None
    """Sends bytes as they are, as frames; only by WebSocket."""

    key: PublicKey | None = None

    async def asked(self):
        self.key = PublicKey.from_string(value_of(1, await self.hear()).decode())
        return self.key

    async def signed(self):
        return value_of(2, await self.hear())


async def right(talk):
    """All as it should be."""
    key = await talk.asked()
    await talk.say(challenge())
    if not key.verify(CHALLENGE, await talk.signed()):
        raise Over(2, "bad signature")
    await talk.say(field_of(2, token_of(key).encode()))


def gives(text):
    """The right exchange, and this for a token."""

    async def behave(talk):
        await talk.asked()
        await talk.say(challenge())
        await talk.signed()
        await talk.say(field_of(2, text.encode()))

    return behave


def refuses(code, *, signed=False):
    """A number, before the challenge or after the signature."""

    async def behave(talk):
        if signed:
            await talk.asked()
            await talk.say(challenge())
            await talk.signed()
        raise Over(code)

    return behave


def says(*messages):
    """These messages, whatever it hears; and then nothing more."""

    async def behave(talk):
        await talk.asked()
        for message in messages:
            await talk.say(message)
        await talk.stay()

    return behave


async def silent(talk):
    await talk.stay()


async def silent_at_the_end(talk):
    await talk.asked()
    await talk.say(challenge())
    await talk.stay()


async def hangs_up(talk):
    await talk.asked()
    await talk.hang_up()


async def hangs_up_after_the_challenge(talk):
    await talk.asked()
    await talk.say(challenge())
    await talk.hang_up()


def frames(*said):
    """Bytes or text as they are, as frames of a WebSocket."""

    async def behave(talk):
        for one in said:
            await talk.pieces(one)
        await talk.stay()

    return behave


async def endless(talk):
    """Blocks of headers, and no end."""
    while True:
        await talk.pieces(b"\x80\0\0\x10\0" + b"x: y\r\n" * 682 + b"zzzz")


@dataclass
class FakeHub:
    """Has each conversation as ``always`` says, and remembers the metadata of all of them."""

    url: str = ""
    always: object = right
    heard: list = field(default_factory=list)
    open: int = 0
    """Conversations under way."""

    answers: int = 0
    """A status to answer instead of opening a WebSocket, and where to go instead."""

    location: str = ""

    async def have(self, talk):
        self.heard.append(talk.metadata)
        self.open += 1
        try:
            await self.always(talk)
        finally:
            self.open -= 1

    async def all_gone(self):
        """Wait until no conversation is under way."""
        async with asyncio.timeout(5):
            while self.open:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def by_websocket(*, tls: ssl.SSLContext | None = None, subprotocol="grpc-websockets"):
    """One with a WebSocket proxy."""
    hub = FakeHub()

    async def handler(socket):
        block = (await socket.recv()).decode()
        lines = [line.partition(": ") for line in block.split("\r\n") if line]

        async def hear():
            said = await socket.recv()
            assert said[:2] == b"\0\0"
            assert len(said) == 6 + int.from_bytes(said[2:6], "big")
            return said[6:]

        async def say(message):
            await socket.send(b"\0" + len(message).to_bytes(4, "big") + message)

        async def hang_up():
            socket.transport.abort()

        metadata = {name: value for name, _, value in lines}
        with suppress(ConnectionClosed):
            try:
                # Some servers say headers first, in two frames.
                await socket.send(b"\x80\0\0\0\x08")
                await socket.send(b"a: b\r\n\r\n")
                await hub.have(Talk(metadata, hear, say, hang_up, socket.wait_closed, socket.send))
                code, message = 0, ""
            except Over as over:
                code, message = over.code, over.message
            end = f"grpc-status: {code}\r\ngrpc-message: {message}\r\n".encode()
            await socket.send(b"\x80" + len(end).to_bytes(4, "big") + end)

    def first(connection, request):
        if hub.answers:
            answer = connection.respond(HTTPStatus(hub.answers), THEIRS)
            if hub.location:
                answer.headers["Location"] = hub.location
            return answer
        return None if request.path.endswith(PATH) else connection.respond(HTTPStatus(404), "")

    silence = logging.Logger("a hub", logging.CRITICAL + 1)  # noqa: LOG001
    server = await serve(
        handler,
        "127.0.0.1",
        0,
        subprotocols=[subprotocol] if subprotocol else None,
        process_request=first,
        ssl=tls,
        logger=silence,
    )
    try:
        port = server.sockets[0].getsockname()[1]
        hub.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield hub
    finally:
        server.close()
        for connection in server.connections:
            connection.transport.abort()
        await server.wait_closed()


@asynccontextmanager
async def by_grpc(*, pem: tuple[bytes, bytes] | None = None):
    """One that speaks gRPC; ``pem`` are its key and its certificate."""
    hub = FakeHub()
    server = aio.server()
    ending = []

    def stop():
        if not ending:
            ending.append(asyncio.ensure_future(server.stop(0)))
        return ending[0]

    async def method(_, context):
        async def hear():
            said = await context.read()
            assert said is not aio.EOF
            return said

        async def hang_up():
            stop()
            await asyncio.Event().wait()

        metadata = dict(context.invocation_metadata())
        talk = Talk(metadata, hear, context.write, hang_up, asyncio.Event().wait)
        try:
            await hub.have(talk)
        except Over as over:
            code = next(one for one in grpc.StatusCode if one.value[0] == over.code)
            await context.abort(code, over.message)

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.stream_stream_rpc_method_handler(method) if details.method == PATH else None

    server.add_generic_rpc_handlers((Handlers(),))
    if pem:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pem]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    hub.url = f"{'https' if pem else 'http'}://127.0.0.1:{port}"
    try:
        yield hub
    finally:
        await stop()
