"""Ann, her app, her browser, and the drive that she connects: a world with accounts elsewhere."""

import re
from contextlib import AsyncExitStack, asynccontextmanager
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx2

from tests.agreeing import CLIENT, Drive
from tests.servers import Issuer
from tests.world import US, World, hashed, lifespan
from tokenward.jose.keys import SigningKey

PHOTOS_SECRET = "photos-" + "s" * 40
OTHER_SECRET = "other-app-" + "s" * 40
BACK = "https://photos.example.com/connected"

FILE = """
store = "{store}"
[audit]
to = "{audit}"
[limits]
guessing = "off"
[issuers.main]
url = "https://tokens.example.com"

[callers.mobile]
proof         = "jwt"
issuer        = "{friend}"
audience      = "{audience}"
client_name   = "The mobile app"
redirect_uris = ["https://mobile.example.com/back", "com.example.mobile:/back"]

[callers.photos]
proof         = "client_secret"
secrets       = ["{photos}"]
grant_types   = ["token_exchange"]
client_name   = "Photos <b>& more</b>"
redirect_uris = ["https://photos.example.com/connected"]
[callers.other]
proof         = "client_secret"
secrets       = ["{other}"]
grant_types   = ["token_exchange"]
redirect_uris = ["https://other.example.com/one", "https://other.example.com/two?a=b"]
[callers.spa]
proof         = "none"
redirect_uris = ["https://spa.example.com/"]
[callers.homeless]
proof         = "client_secret"
secrets       = ["{other}"]
grant_types   = ["token_exchange"]

[tokens.reports]
audience = "https://api.example.com/reports"
scopes   = ["reports:read"]
[tokens.drive]
upstream      = "connection"
title         = "Example Drive"
audience      = "https://drive.example.com"
issuer        = "{upstream}"
client_id     = "{client}"
client_secret = "${{UPSTREAM_SECRET}}"
scopes        = {{ "files:read" = "See your files", "files:write" = "Change your files" }}
default       = ["files:read"]
offline_scope = "offline_access"
authorization_parameters = {{ prompt = "consent" }}
[tokens.second]
upstream      = "connection"
scope_check   = "off"
issuer        = "{upstream}"
client_id     = "{client}"
client_secret = "${{UPSTREAM_SECRET}}"
scopes        = ["files:read"]

[[allow]]
name   = "people use their drive"
caller = "mobile"
token  = "drive"
scope  = "files:read files:write"
[[allow]]
name   = "and the second"
caller = "mobile"
claims = {{ permissions = "models:read" }}
token  = "second"
scope  = "files:read"
[[allow]]
name   = "reports"
caller = "mobile"
token  = "reports"
scope  = "reports:read"
"""
for name, value in {
    "photos": hashed(PHOTOS_SECRET),
    "other": hashed(OTHER_SECRET),
    "client": CLIENT,
}.items():
    FILE = FILE.replace(f"{{{name}}}", value)

PHOTOS = ("photos", PHOTOS_SECRET)
OTHER = ("other", OTHER_SECRET)


class Place:
    """The drive as a world's upstream wants to be called."""

    def __init__(self, drive):
        self.drive = drive
        self.token_endpoint = drive.url


class Somebody:
    """What people and their apps do."""

    def __init__(self, world, drive):
        self.world, self.drive = world, drive
        self.browser = self.another_browser()

    def another_browser(self):
        transport = httpx2.ASGITransport(self.world.app)
        return httpx2.AsyncClient(transport=transport, base_url=US)

    def token(self, who="ann", **claims):
        said = {"sub": f"auth0|{who}", "name": who.title(), "azp": "front"}
        return self.world.user_token(**said | claims)

    async def ask(self, what, *, auth=PHOTOS, token=None, **form):
        """A question of an app's; ``auth`` is its secret, or ``None`` for a bearer alone."""
        headers = {}
        token = self.token() if token is None else token
        if auth is None:
            headers["Authorization"] = f"Bearer {token}"
        elif token:
            form = {"subject_token": token, **form}
        form = {name: it for name, it in form.items() if it is not None}
        return await self.world.http.post(
            f"/connections/{what}", data=form, auth=auth, headers=headers
        )

    async def start(self, **more):
        return await self.ask("start", **{"audience": "drive", **more})

    async def link(self, **more):
        answer = await self.start(**more)
        assert answer.status_code == 200, answer.text
        return answer.json()["connect_uri"]

    async def click(self, link, browser=None, answer="connect"):
        """Open a link and press a button; the page that comes of it."""
        browser = browser or self.browser
        page = await browser.get(link)
        if page.status_code != 200:
            return page
        mark = re.search(r'name="mark" value="([^"]+)"', page.text)
        return await browser.post(link, data={"mark": mark[1], "answer": answer})

    async def agree(self, link, browser=None, **how):
        """All that a person does, up to where they are back at the app."""
        page = await self.click(link, browser)
        assert page.status_code == 200, page.text
        return await self.back(self.drive.answered(onward(page), **how), browser)

    async def back(self, url, browser=None):
        return await (browser or self.browser).get(url)

    async def complete(self, answer, **more):
        return await self.ask("complete", connection_code=said(answer)["connection_code"], **more)

    async def connect(self, **more):
        """A whole connection; what the app hears of it."""
        auth = {name: it for name, it in more.items() if name in ("auth", "token")}
        return await self.complete(await self.agree(await self.link(**more)), **auth)

    async def get(self, *, auth=PHOTOS, token=None, **form):
        """The token of the drive, by token exchange."""
        form = {"audience": "drive", **form}
        return await self.world.exchange(token or self.token(), auth=auth, **form)


def onward(page):
    """Where a page leads by itself."""
    return unescape(re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.text)[1])


def said(answer):
    """What an app is told by the address that a browser is sent back to."""
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@asynccontextmanager
async def somebody(folder, store="memory:"):
    """Ann, and her world."""
    async with AsyncExitStack() as stack:
        friend = stack.enter_context(Issuer(SigningKey.generate("ES256")).serving())
        drive = stack.enter_context(Drive())
        world = World(folder, friend, Place(drive), store=store, file=FILE)
        await stack.enter_async_context(lifespan(world.app))
        await stack.enter_async_context(world.http)
        ann = Somebody(world, drive)
        await stack.enter_async_context(ann.browser)
        yield ann
