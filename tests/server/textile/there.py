"""A server with the routes of Textile's examples, on a real port, and clients of it."""

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from websockets.asyncio.client import connect

from tests.hub import KEY, SECRET
from tests.servers import Issuer
from tests.world import hashed
from tokenward.jose.identity import PrivateKey
from tokenward.jose.keys import SigningKey
from tokenward.server.app import application
from tokenward.server.bounds import Limits
from tokenward.server.serve import serving
from tokenward.server.settings import load

APP = "https://app.example.com"
"""The pages of people with keys."""

SITE = "https://site.example.com"
"""The pages of visitors."""

US = "https://tokens.example.com"
AUDIENCE = "https://routes.example.com"
BANNED = PrivateKey.generate()

FILE = """
store = "memory:"
{lane}
[audit]
to = "{audit}"
[issuers.hub]
url     = "https://tokens.example.com"
profile = "hub"

[callers.people]
proof   = "key"
anybody = true
subject = "raw"
origins = ["https://app.example.com"]
[callers.app]
proof       = "hub_key"
{app}
origins     = ["https://app.example.com"]
[callers.staff]
proof    = "jwt"
issuer   = "{friend}"
audience = "https://routes.example.com"
[callers.site]
proof   = "none"
origins = ["https://site.example.com"]

[tokens.threads]
audience = "threads"
lifetime = "1h"
[tokens.other]
audience = "other"
[tokens.signin]
upstream = "textile_userauth"
key      = "{key}"
secret   = "${{SIGNIN}}"
lifetime = "5m"

[textile]
people = "{people}"
token  = "threads"
{textile}

{allow}
[[allow]]
name   = "staff sign"
caller = "staff"
claims = {{ role = "web" }}
token  = "signin"
{more}
"""

PEOPLE = """
[[allow]]
name   = "people"
caller = "people"
token  = "threads"
[[allow]]
caller = "people"
token  = "other"
[[allow]]
name   = "people sign"
caller = "people"
token  = "signin"
[[allow]]
name   = "people of the app"
caller = "app"
token  = "threads"
[[allow]]
name   = "the app signs"
caller = "app"
token  = "signin"
"""
VISITORS = """
[[allow]]
name   = "visitors sign"
caller = "site"
token  = "signin"
"""
APPLICATION = f'key         = "{KEY}"\ndevelopment = true'
USERAUTH = 'userauth = "signin"'


class There:
    """The server, its friend, and what it wrote."""

    def __init__(self, url, friend, trail):
        self.url, self.friend, self.trail = url, friend, trail

    def staff_token(self, **claims):
        return self.friend.token(**{"aud": AUDIENCE, "sub": "ann", "role": "web"} | claims)

    def events(self, **like):
        if not self.trail.exists():
            return []
        said = [json.loads(line) for line in self.trail.read_text().splitlines()]
        return [event for event in said if event.items() >= like.items()]

    async def event(self, **like):
        """The last event like this, once it has been written."""
        for _ in range(500):
            if found := self.events(**like):
                return found[-1]
            await asyncio.sleep(0.01)
        raise AssertionError(f"no event like {like}")

    @asynccontextmanager
    async def talk(self, path="/ws/userauth", **how):
        """A client by WebSocket."""
        url = self.url.replace("http", "ws", 1) + path
        async with connect(url, compression=None, **how) as socket:
            yield Client(socket)


class Client:
    """What a page of Textile's examples does."""

    def __init__(self, socket):
        self.socket = socket

    async def say(self, said):
        await self.socket.send(said if isinstance(said, str | bytes) else json.dumps(said))

    async def hear(self, seconds=5.0):
        async with asyncio.timeout(seconds):
            said = await self.socket.recv()
        assert isinstance(said, str)
        return json.loads(said)

    async def challenge(self, key, *, name="pubkey"):
        """The bytes that are to be signed."""
        await self.say({name: key.public.text, "type": "token"})
        said = await self.hear()
        assert said.keys() == {"type", "value"}
        assert (said["type"], said["value"]["type"]) == ("challenge", "Buffer")
        return bytes(said["value"]["data"])

    async def ask(self, key, *, name="pubkey"):
        """All of it: the answer to a signature."""
        await self.sign(key, await self.challenge(key, name=name))
        return await self.hear()

    async def sign(self, key, challenge, **more):
        await self.say({"type": "challenge", "sig": buffer(key.sign(challenge))} | more)

    async def ended(self):
        """How the server closed."""
        async with asyncio.timeout(5):
            await self.socket.wait_closed()
        return self.socket.close_code


def buffer(data):
    """Bytes as ``Buffer.toJSON`` writes them."""
    return {"type": "Buffer", "data": list(data)}


@contextmanager
def there(
    folder,
    *,
    textile=USERAUTH,
    allow=PEOPLE,
    more="",
    lane="",
    people="people",
    app=APPLICATION,
    limits=None,
):
    """One of them, as long as the block takes."""
    folder = Path(folder)
    with Issuer(SigningKey.generate("ES256")).serving() as friend:
        path = folder / "tokenward.toml"
        trail = folder / "audit.jsonl"
        path.write_text(
            FILE.format(
                lane=lane,
                audit=trail,
                key=KEY,
                friend=friend.url,
                textile=textile,
                people=people,
                app=app,
                allow=allow,
                more=more,
            )
        )
        app = application(load(path, {"SIGNIN": SECRET, "METRICS": hashed("m" * 40)}))
        with serving(app, limits=limits or Limits(most_per_address=700)) as url:
            yield There(url, friend, trail)
