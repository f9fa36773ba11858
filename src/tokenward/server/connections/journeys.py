"""What is known of somebody on the way to a connection, and the three secrets that stand for it.

A secret has 256 bits. Its hash is the key; what is under it is sealed, so reading the store gives
nobody an account. Taking is one conditional write: of a hundred at once, one gets it.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import Literal

from tokenward.clock import Clock
from tokenward.server.offline import Whose
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import Shelf

Kind = Literal["link", "state", "code"]

LIFETIMES: Mapping[Kind, float] = {"link": 600.0, "state": 900.0, "code": 120.0}
"""Seconds: to click, to sign in and agree over there, and for the app to show its person."""

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One person on the way to one connection, from the link to the code."""

    token: str
    """The token's name in the configuration."""

    subject: str
    """Who began."""

    by: tuple[str, ...]
    """Which app began, as far as it was proved."""

    person: str
    """How they are called where somebody is to recognise them."""

    app: str
    """How the app is called there."""

    client: str = ""
    """Its ``client_id``, ``""`` if it has none."""

    scope: str
    redirect_uri: str
    state: str = field(default="", repr=False)
    """The app's own, which it gets back as it is (RFC 6749 §4.1.1)."""

    browser: str = ""
    """From the click on: the SHA-256 of what the browser that clicked has in a cookie."""

    verifier: str = field(default="", repr=False)
    """From the click on: what proves that it was we who asked (RFC 7636 §4.1)."""

    given: Mapping[str, object] = field(default_factory=dict, repr=False)
    """From the return on: what the other server gave."""

    @property
    def whose(self) -> Whose:
        """Whose connection it is to be."""
        return Whose(self.token, self.subject, tuple(self.by))


@dataclass(frozen=True, slots=True, kw_only=True)
class Journeys:
    """All that are under way."""

    shelf: Shelf = field(repr=False)
    seal: Seal = field(repr=False)
    clock: Clock

    async def put(self, kind: Kind, journey: Journey, *, secret: str = "") -> str:
        """Keep it for a while; the secret that stands for it."""
        secret = secret or secrets.token_urlsafe(32)
        key = _key(kind, secret)
        said = json.dumps({"version": _VERSION, **asdict(journey)}).encode()
        sealed = self.seal.close(said, key)
        await self.shelf.put(key, sealed, until=self.clock() + LIFETIMES[kind])
        return secret

    async def look(self, kind: Kind, secret: str) -> Journey | None:
        """What it stands for, if for anything; looking changes nothing."""
        key = _key(kind, secret)
        return self._opened(key, await self.shelf.get(key))

    async def take(self, kind: Kind, secret: str) -> Journey | None:
        """The same, for the only time."""
        key = _key(kind, secret)
        return self._opened(key, await self.shelf.take(key))

    def _opened(self, key: str, sealed: bytes | None) -> Journey | None:
        if sealed is None:
            return None
        with suppress(SealBroken):  # the key was changed, and they can begin again
            said = json.loads(self.seal.open(sealed, key))
            if said.pop("version") == _VERSION:
                known = {one.name for one in fields(Journey)}
                return Journey(**{name: it for name, it in said.items() if name in known})
        return None


def _key(kind: Kind, secret: str) -> str:
    return f"connecting/{kind}/{sha256(secret.encode(errors='replace')).hexdigest()}"
