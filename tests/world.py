"""A whole server on one screen: one friend who vouches, two clients, our tokens and theirs.

The server is real down to the ASGI boundary, and so are the issuer and the upstream beyond it:
both are HTTP servers on loopback that can be told to misbehave. The clock is one you set.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path

import httpx2

from tests.servers import Issuer
from tests.upstream import Upstream
from tokenward.jose import jws
from tokenward.jose.keys import SigningKey
from tokenward.server.app import Server
from tokenward.server.keeping import seal
from tokenward.server.keyring import KeyRing
from tokenward.server.settings import load

US = "https://tokens.example.com"
AUDIENCE = "http://tokenserver.sample.bentley.com"
SECRET = "nightly-" + "s" * 40
API_SECRET = "reports-api-" + "s" * 40
UPSTREAM_SECRET = "upstream-" + "s" * 40
JWT = "urn:ietf:params:oauth:token-type:jwt"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

FILE = """
store  = "{store}"

[audit]
to = "{audit}"

[limits]
guessing = "off"

[issuers.main]
url = "https://tokens.example.com"

[issuers.ims]
url     = "https://tokens.example.com/ims"
profile = "ims"
[issuers.orders]
url     = "https://tokens.example.com/oauth2/orders"
profile = "okta"

[callers.mobile]
proof    = "jwt"
issuer   = "{friend}"
audience = "{audience}"
[callers.worker]
proof    = "jwt"
issuer   = "{friend}"
audience = "https://workers.example.com"

[callers.nightly]
proof       = "client_secret"
secrets     = ["{nightly}"]
grant_types = ["client_credentials", "token_exchange", "jwt_bearer"]
origins     = ["https://app.example.com"]
[callers.lazy]
proof   = "client_secret"
secrets = ["{nightly}"]
scope   = "reports:read"
[callers.reports-api]
proof       = "client_secret"
secrets     = ["{api}"]
grant_types = []
[callers.browser]
proof = "none"

[tokens.reports]
from          = "main"
audience      = "https://api.example.com/reports"
scopes        = {{ "reports:read" = "Read reports", "reports:write" = "Change reports" }}
default       = ["reports:read"]
lifetime      = "15m"
introspectors = ["reports-api"]
[tokens.models]
from     = "ims"
audience = "https://models.example.com"
scopes   = {{ "itwin-platform" = "The iTwin Platform" }}
introspectors = ["reports-api"]
[tokens.orders]
from     = "orders"
audience = "api://orders"
scopes   = {{ such_scope = "", other_scope = "" }}
introspectors = ["reports-api"]
[tokens.itwin]
upstream      = "client_credentials"
token_endpoint = "{upstream}"
client_id     = "service-abc"
client_secret = "${{UPSTREAM_SECRET}}"
scopes        = {{ "itwin-platform" = "The iTwin Platform" }}

[[allow]]
name   = "people who may read models"
caller = "mobile"
claims = {{ permissions = "models:read" }}
token  = "itwin"
scope  = "itwin-platform"
[[allow]]
name     = "nightly reports"
caller   = "nightly"
token    = "reports"
scope    = "reports:read reports:write"
lifetime = "5m"
[[allow]]
name   = "lazy reports"
caller = "lazy"
token  = "reports"
scope  = "*"
[[allow]]
name   = "nightly models"
caller = "nightly"
token  = "models"
scope  = "itwin-platform"
[[allow]]
name   = "nightly orders"
caller = "nightly"
token  = "orders"
scope  = "such_scope"
[[allow]]
name   = "reports for people who ask with the nightly client"
caller = "mobile"
client = "nightly"
claims = {{ permissions = "reports" }}
token  = "reports"
scope  = "reports:read"
"""


def hashed(secret):
    return "sha256:" + sha256(secret.encode()).hexdigest()


class Clock:
    """Time stands still unless it is told to move."""

    def __init__(self):
        self.at = float(int(time.time()))

    def __call__(self):
        return self.at


class World:
    """The server, its friends, and what it wrote."""

    def __init__(self, folder, friend, upstream, *, store="memory:", file=FILE):
        self.folder = Path(folder)
        self.clock = Clock()
        self.friend = friend
        self.upstream = upstream
        self.trail = self.folder / "audit.jsonl"
        self.config = self.folder / "tokenward.toml"
        self.config.write_text(
            file.format(
                store=store,
                audit=self.trail,
                friend=friend.url,
                audience=AUDIENCE,
                nightly=hashed(SECRET),
                api=hashed(API_SECRET),
                upstream=upstream.token_endpoint,
            )
        )
        self.settings = load(self.config, {"UPSTREAM_SECRET": UPSTREAM_SECRET})
        self.server = Server(settings=self.settings, clock=self.clock)
        self.app = self.server.front()
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url=US)

    def user_token(self, **claims):
        """A token of the friend's, for one of its people who may read models."""
        now = int(self.clock())
        said = {
            "aud": [AUDIENCE, "https://userinfo.example.com"],
            "sub": "auth0|ann",
            "iat": now,
            "exp": now + 3600,
            "permissions": ["models:read"],
        }
        return self.friend.token(typ="JWT", **said | claims)

    async def token(self, path="/token", *, auth=("nightly", SECRET), headers=None, **form):
        form.setdefault("grant_type", "client_credentials")
        return await self.http.post(path, data=form, auth=auth, headers=headers)

    async def exchange(self, subject_token, /, *, auth=None, **form):
        form = {"subject_token": subject_token, "subject_token_type": JWT} | form
        return await self.token(auth=auth, grant_type=TOKEN_EXCHANGE, **form)

    async def get_token(self, token, **query):
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.get("/getToken", headers=headers, params=query)

    async def ring(self, issuer, algorithm="ES256"):
        """An issuer's keys, as the server keeps them."""
        shelf = self.server.store.shelf
        keyring = KeyRing(shelf=shelf, seal=seal(self.settings, self.server.store))
        return await keyring.ring(issuer, algorithm)

    def events(self):
        """What the audit trail says, once the server has closed it or had time to write it."""
        return [json.loads(line) for line in self.trail.read_text().splitlines()]


@asynccontextmanager
async def lifespan(app):
    """Start an ASGI application in this event loop, and stop it afterwards."""

    told, said = asyncio.Queue(), asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan"}, told.get, said.put))
    await told.put({"type": "lifespan.startup"})
    first = asyncio.create_task(said.get())
    await asyncio.wait({first, running}, return_when=asyncio.FIRST_COMPLETED)
    if first.done() and first.result()["type"] != "lifespan.startup.complete":
        await running
    if not first.done():
        first.cancel()
        await running
    try:
        yield app
    finally:
        await told.put({"type": "lifespan.shutdown"})
        await running


@asynccontextmanager
async def a_world(folder, **options):
    """A world that is running; ``events`` are complete after it has ended."""
    key = SigningKey.generate("ES256")
    async with AsyncExitStack() as stack:
        friend = stack.enter_context(Issuer(key).serving())
        upstream = stack.enter_context(Upstream())
        world = World(folder, friend, upstream, **options)
        await stack.enter_async_context(lifespan(world.app))
        await stack.enter_async_context(world.http)
        yield world


def claims_of(token):
    """What a token says, believed without proof."""
    return jws.load_object(jws.parse(token).payload)


def header_of(token):
    return dict(jws.parse(token).header)
