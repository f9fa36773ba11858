"""Those who ask during a soak: each kind is a function, and how many of a thousand are of it.

A kind returns when all is as it should be, and raises ``Wrong`` otherwise.
"""

import json
import os
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from bench.asking import Pool, Wrong, hang_up, never_finish
from bench.ours import Ours
from bench.requests import access_token, basic, bearer, get, post

PEOPLE = 200
"""Who come again and again."""

DAWDLERS = 4
"""Slow clients at a time."""

KEYS = "/.well-known/jwks.json"
TOO_SLOW = 30.0
"""Seconds after which a server that still waits for a slow client is at fault."""


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Everybody, and what they remember."""

    ours: Ours
    pool: Pool
    people: list[bytes] = field(default_factory=list)
    exchanges: list[bytes] = field(default_factory=list)
    shown: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    """Tokens that APIs were shown lately."""

    strangers: Iterator[int] = field(default_factory=count)
    dawdling: int = 0
    _client_credentials: bytes = b""
    _expired: bytes = b""

    def __post_init__(self) -> None:
        tokens = [self.ours.caller(f"regular-{it}") for it in range(PEOPLE)]
        self.people = [get("/getToken", bearer(token)) for token in tokens]
        self.exchanges = [self.ours.exchange(token) for token in tokens]
        self._client_credentials = self.ours.client_credentials()
        self._expired = get("/getToken", bearer(self.ours.caller("late", lifetime=-3_600)))


Kind = Callable[[Crowd], Awaitable[None]]


async def client_credentials(crowd: Crowd) -> None:
    """A service gets a token for itself."""
    crowd.shown.append(access_token(await crowd.pool.ask(crowd._client_credentials)))  # noqa: SLF001


async def exchange(crowd: Crowd) -> None:
    """A service exchanges what one of the regulars showed it."""
    crowd.shown.append(access_token(await crowd.pool.ask(random.choice(crowd.exchanges))))  # noqa: S311


async def regular(crowd: Crowd) -> None:
    """One of the regulars gets a token of the platform."""
    _expect_bearer(await crowd.pool.ask(random.choice(crowd.people)))  # noqa: S311


async def stranger(crowd: Crowd) -> None:
    """Somebody who was never here before gets one."""
    token = crowd.ours.caller(f"stranger-{next(crowd.strangers)}", "ES256")
    _expect_bearer(await crowd.pool.ask(get("/getToken", bearer(token))))


async def introspection(crowd: Crowd) -> None:
    """An API asks about a token it was shown lately."""
    if crowd.shown:
        token = random.choice(crowd.shown)  # noqa: S311
        await _expect_active(crowd, token, active=True)


async def introspection_of_a_strangers_token(crowd: Crowd) -> None:
    """An API was shown a token that is not ours."""
    await _expect_active(crowd, "eyJhbGciOiJFUzI1NiJ9.e30.AAAA", active=False)


async def revocation(crowd: Crowd) -> None:
    """A service takes a token back, and the API that asks hears so."""
    token = access_token(await crowd.pool.ask(crowd._client_credentials))  # noqa: SLF001
    await _expect_active(crowd, token, active=True)
    await crowd.pool.ask(crowd.ours.revocation(token))
    await _expect_active(crowd, token, active=False)


async def keys(crowd: Crowd) -> None:
    """Somebody fetches the public keys."""
    if b'"kty"' not in await crowd.pool.ask(get(KEYS)):
        raise Wrong("a JWKS without keys")


async def metadata(crowd: Crowd) -> None:
    """Somebody asks who we are."""
    await crowd.pool.ask(get("/.well-known/openid-configuration"))


async def readiness(crowd: Crowd) -> None:
    """A load balancer asks whether we are ready."""
    await crowd.pool.ask(get("/readyz"))


async def wrong_secret(crowd: Crowd) -> None:
    """Somebody tries a secret of a client, and is told to wait after some tries."""
    form = {"grant_type": "client_credentials"}
    await crowd.pool.ask(post("/token", form, basic("guessed", "x" * 43)), 401, 429)


async def unknown_client(crowd: Crowd) -> None:
    """Somebody tries names of clients that there are not, another one each time."""
    form = {"grant_type": "client_credentials"}
    name = f"client-{random.randrange(10**9)}"  # noqa: S311
    await crowd.pool.ask(post("/token", form, basic(name, "x" * 43)), 401, 429)


async def expired(crowd: Crowd) -> None:
    """Somebody comes with a token of yesterday."""
    await crowd.pool.ask(crowd._expired, 401)  # noqa: SLF001


async def too_much(crowd: Crowd) -> None:
    """A service asks for more than it may have."""
    form = {"grant_type": "client_credentials", "scope": "reports:delete"}
    await crowd.pool.ask(post("/token", form, basic("service", crowd.ours.secret)), 400)


async def nowhere(crowd: Crowd) -> None:
    """Somebody looks for a page that is not here."""
    await crowd.pool.ask(get("/wp-login.php"), 404)


async def garbage(crowd: Crowd) -> None:
    """Something that is not HTTP; it must be refused, or cut off, at once."""
    said = await never_finish(crowd.ours.port, os.urandom(200) + b"\r\n\r\n", TOO_SLOW)
    if said and not said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
        raise Wrong(f"garbage was answered with {said[:40]!r}")


async def aborted(crowd: Crowd) -> None:
    """Somebody asks and does not wait for the answer."""
    await hang_up(crowd.ours.port, random.choice(crowd.exchanges))  # noqa: S311


async def slow(crowd: Crowd) -> None:
    """Somebody never finishes a request, in the middle of the head or of the body."""
    if crowd.dawdling >= DAWDLERS:
        return
    crowd.dawdling += 1
    try:
        request = crowd._client_credentials  # noqa: SLF001
        beginning = request[: random.choice((40, len(request) - 10))]  # noqa: S311
        said = await never_finish(crowd.ours.port, beginning, TOO_SLOW)
    finally:
        crowd.dawdling -= 1
    if said and not said.startswith(b"HTTP/1.1 408 "):
        raise Wrong(f"half a request was answered with {said[:40]!r}")


MIX: dict[Kind, int] = {
    client_credentials: 300,
    regular: 250,
    introspection: 150,
    exchange: 100,
    stranger: 50,
    keys: 50,
    metadata: 25,
    readiness: 10,
    introspection_of_a_strangers_token: 10,
    revocation: 10,
    wrong_secret: 5,
    unknown_client: 5,
    expired: 10,
    too_much: 10,
    nowhere: 5,
    slow: 4,
    aborted: 3,
    garbage: 3,
}
"""How many of a thousand; they come in an order of their own."""

UNTIMED = frozenset({slow, aborted, garbage, revocation})
"""Those whose duration says nothing about an answer."""


def order() -> list[Kind]:
    """A thousand in an order that is always the same."""
    every = [kind for kind, many in MIX.items() for _ in range(many)]
    random.Random(7).shuffle(every)  # noqa: S311 - an order, not a secret
    return every


def _expect_bearer(body: bytes) -> None:
    if not body.startswith(b"Bearer eyJ"):
        raise Wrong(f"no token: {body[:80]!r}")


async def _expect_active(crowd: Crowd, token: str, *, active: bool) -> None:
    said = json.loads(await crowd.pool.ask(crowd.ours.introspection(token)))
    if said["active"] is not active:
        raise Wrong(f"a token is {'not ' if active else ''}active, and should be otherwise")
