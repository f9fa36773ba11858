"""A hub to try, and a client of one that says exactly what it is told to."""

import asyncio
import hmac
import os
from base64 import b64encode
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlsplit

from tests.world import hashed
from tokenward.jose import multibase
from tokenward.jose.identity import PrivateKey

# https://github.com/textileio: what the clients were given, 16 and 24 bytes (none of it is real)
KEY = "b" + "a" * 26
SECRET = "bm5qxe4tknrsgizbvgq2tmnzyhe4tqojzg4ztknbwg4yts"
OPEN_KEY = "bm" + "a" * 25
PAGE = "https://app.example.com"
PATH = "/hub/threads.pb.API/GetToken"
CLIENT_SECRET = "nightly-" + "s" * 40
SAMPLE_SECRET = "balkweop3jflk9f43lkjs9df2jlght94nzlkv93s"
"""Of the first example there was; it has a 9, and nobody could ever use it."""

# Keys as @textile/hub wrote them (of the seed 00..1f), and as its forerunner did; with their names.
NEW_PRIVATE = (
    "bbaareqaaaebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4b2cb576phbbpq5odorrz2lycmwpzgwgcn2"
    "kdk7dxoimzaskuy3q"
)
NEW_PUBLIC = "bbaareiadued3746occ7b24g5ddtuxqezm7snmme3uugv6ho4qzsbevjrxa"
OLD_PRIVATE = (
    "bbaareybytxpcujxljqg4tqrijeh737y6xnvsp42u4mhtcivjkitpyvxjl63knmrm3dmf2tlucoo7maibhejvhcmyr3ew"
    "5yvqtsyeq4q5lug53nvgwiwnrwc5jv2bhhpwaeatse2trgmi5slo4kyjzmcioiov2do5"
)
OLD_PUBLIC = "bbaareifwu2zczwgylvgxie456yaqcoitkoezrdwjn3rlbhfqjbzb2xin3u"

SETTINGS = """
store = "{store}"
[audit]
to = "{audit}"
[issuers.main]
url = "https://tokens.example.com"
[issuers.hub]
url     = "https://tokens.example.com/hub"
profile = "hub"
{hub}
[callers.app]
proof   = "hub_key"
key     = "{key}"
secret  = "{secret}"
origins = ["https://app.example.com"]
[callers.trial]
proof       = "hub_key"
key         = "{open_key}"
development = true
[callers.nightly]
proof   = "client_secret"
secrets = ["{nightly}"]

[tokens.threads]
from     = "hub"
audience = "threads"
lifetime = "1h"
[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read"]

[[allow]]
name   = "people of the app"
caller = "app"
token  = "threads"
{rule}
[[allow]]
caller = "nightly"
token  = "threads"
[[allow]]
caller = "nightly"
token  = "reports"
scope  = "reports:read"
"""


def settings(*, store="memory:", audit="stdout", hub="", rule=""):
    """The configuration of a server that is a hub, among other things."""
    return SETTINGS.format(
        store=store,
        audit=audit,
        hub=hub,
        rule=rule,
        key=KEY,
        secret=SECRET,
        open_key=OPEN_KEY,
        nightly=hashed(CLIENT_SECRET),
    )


def metadata(ahead=60.0, *, key=KEY, secret=SECRET, now=None, **more):
    """What an application's client says about it; the signature is good for so many seconds."""
    at = datetime.fromtimestamp(datetime.now(UTC).timestamp() if now is None else now, UTC)
    at = datetime.fromtimestamp(at.timestamp() + ahead, UTC)
    message = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {
        "host": "http://127.0.0.1:3007",
        "x-textile-api-key": key,
        "x-textile-api-sig-msg": message,
        "x-textile-api-sig": signature(message, secret),
        "content-type": "application/grpc-web+proto",
        "x-grpc-web": "1",
    }
    said |= {name.replace("_", "-"): value for name, value in more.items()}
    return {name: value for name, value in said.items() if value is not None}


def signature(message, secret=SECRET):
    """What an application's server makes of a date."""
    return multibase.encode(hmac.digest(multibase.decode(secret), message.encode(), sha256))


def block(said):
    """Metadata as they go over the wire."""
    return "".join(f"{name}: {value}\r\n" for name, value in said.items()).encode()


def message(number, value):
    """A frame with one message: field 1 is a key, field 2 a signature."""
    said = b"" if number is None else bytes([number << 3 | 2]) + varint(len(value)) + value
    return b"\0\0" + len(said).to_bytes(4, "big") + said


def varint(value):
    said = b""
    while value > 0x7F:
        said, value = said + bytes([value & 0x7F | 0x80]), value >> 7
    return said + bytes([value])


END = b"\x01"


@dataclass
class Heard:
    """What a server said on one connection."""

    challenge: bytes = b""
    token: str = ""
    status: int | None = None
    message: str = ""
    code: int | None = None
    """Of the closing frame."""

    closed: bool = False
    frames: list = field(default_factory=list)


class Client:
    """A WebSocket of which every byte is ours."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.heard = Heard()

    @classmethod
    async def open(cls, url, path=PATH, *, origin=None, subprotocol="grpc-websockets", **headers):
        """Connect and ask; the status of the answer is in ``status``."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        client = cls(reader, writer)
        fields = {
            "Host": parts.netloc,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": subprotocol,
            "Origin": origin,
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
        writer.write(f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        client.head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        client.status = int(client.head.split()[1])
        return client

    def send(self, *payloads, opcode=2):
        """Whole messages, in one piece over the wire."""
        self.raw(b"".join(framed(payload, opcode) for payload in payloads))

    def raw(self, data):
        self.writer.write(data)

    async def frame(self):
        """The next frame: its opcode and its payload; ``None`` at the end of the connection."""
        try:
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
            return first & 0x0F, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def listen(self, *, until_challenge=False):
        """Hear what is said, to the end, and say goodbye as a browser does."""
        heard = self.heard
        while (frame := await self.frame()) is not None:
            opcode, payload = frame
            heard.frames.append(frame)
            if opcode == 8:
                heard.code = int.from_bytes(payload[:2], "big")
                self.send(payload, opcode=8)
                continue
            if opcode != 2:
                continue
            body = payload[5:]
            assert len(body) == int.from_bytes(payload[1:5], "big")
            if payload[0] == 0x80:
                said = dict(line.split(": ", 1) for line in body.decode().split("\r\n") if line)
                heard.status = int(said["grpc-status"])
                heard.message = said.get("grpc-message", "")
            elif body[0] == 0x0A:
                heard.challenge = body[2:]
                if until_challenge:
                    return heard
            else:
                at = next(at for at in range(1, 6) if body[at] < 0x80)
                heard.token = body[at + 1 :].decode()
        heard.closed = True
        return heard

    async def challenge(self, identity, said=None):
        """The bytes to be signed with this key."""
        self.send(block(metadata() if said is None else said))
        self.send(message(1, identity.public.text.encode()))
        return (await self.listen(until_challenge=True)).challenge

    async def get_token(self, identity, said=None):
        """All of it, as the real clients do."""
        challenge = await self.challenge(identity, said)
        if challenge:
            self.send(message(2, identity.sign(challenge)), END)
            await self.listen()
        return self.heard

    async def close(self):
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def framed(payload, opcode=2, *, final=True, mask=b"\x12\x34\x56\x78", length=None):
    """A frame as clients write it."""
    size = len(payload) if length is None else length
    if size <= 125:
        head = bytes([size | 0x80])
    elif size < 1 << 16:
        head = b"\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\xff" + size.to_bytes(8, "big")
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([opcode | (0x80 if final else 0)]) + head + mask + body


@asynccontextmanager
async def asking(url, path=PATH, **how):
    """A client, for a while."""
    client = await Client.open(url, path, **how)
    try:
        yield client
    finally:
        await client.close()


def identity():
    """Somebody."""
    return PrivateKey.generate()
