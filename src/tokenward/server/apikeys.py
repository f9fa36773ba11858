"""Keys for scripts: what one looks like, and what is known of those there are.

A key is ``twk_``, 43 characters that nobody chose (256 bits), and 6 by which anybody can tell a key
from what only looks like one, such as who searches source code for secrets.

Law of this module: no key is kept, only its HMAC-SHA-256 with a secret that is kept sealed, so that
who reads the tables can neither recognise a key nor write one that would be believed.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isinf
from zlib import crc32

from tokenward.server import directory
from tokenward.server.seal import Seal
from tokenward.server.stores import Shelf, WrongStore

PREFIX = "twk_"
RANDOM, CHECK = 43, 6
"""Characters."""

SHELF = "api-keys/"
"""What the places of editions of the list begin with."""

USED = "api-key-used/"
"""What the places begin with at which it is noted when a key was last used."""

PEPPER = "api-keys-secret"
"""Where the secret is that keys are recognised with."""

RESERVED = frozenset(
    {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "act", "may_act", "cnf", "client_id"}
    | {"scope", "name", "owner", "groups"}
)
"""Claims that mean something already: no key says them of its holder."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM + CHECK}}}")
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key, as far as a server has to know it."""

    id: str
    """What people and the trail call it."""

    caller: str
    """The ``[callers.<name>]`` it is for."""

    name: str
    """Who or what uses it: the subject. A key that takes the place of another has the same."""

    owner: str = ""
    """Who is responsible for it."""

    claims: Mapping[str, object] = field(default_factory=dict)
    """What rules can look at besides, such as ``groups``."""

    digest: str = field(repr=False)
    """Of the key, in hex."""

    expires: float = inf
    """When it ends, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """All that may be used, and what they are recognised with."""

    pepper: bytes = field(repr=False)
    entries: tuple[Entry, ...]


def make() -> str:
    """A new key."""
    body = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(RANDOM))
    return body + _check(body)


def is_whole(text: str) -> bool:
    """Whether this is a key, of anybody's, and not one that was cut off or made up."""
    return bool(_SHAPE.fullmatch(text)) and _check(text[:-CHECK]) == text[-CHECK:]


def digest_of(key: str, pepper: bytes) -> str:
    """What a key is recognised by."""
    return hmac.digest(pepper, key.encode(), "sha256").hex()


def _check(body: str) -> str:
    number, written = crc32(body.encode()), ""
    for _ in range(CHECK):
        number, digit = divmod(number, len(_DIGITS))
        written = _DIGITS[digit] + written
    return written


def to_bytes(known: KeyList) -> bytes:
    """All of it; seal it before a store sees it."""
    said = [
        {
            "id": it.id,
            "caller": it.caller,
            "name": it.name,
            "owner": it.owner,
            "claims": dict(it.claims),
            "digest": it.digest,
            "expires": None if isinf(it.expires) else it.expires,
        }
        for it in known.entries
    ]
    return json.dumps({"version": _VERSION, "pepper": known.pepper.hex(), "keys": said}).encode()


def from_bytes(data: bytes) -> KeyList:
    """What ``to_bytes`` made; raises ``WrongStore`` for what a later version made."""
    said = json.loads(data)
    if said["version"] != _VERSION:
        raise WrongStore(
            f"the list of API keys is of version {said['version']}, and this tokenward knows "
            f"{_VERSION}: use the newer one"
        )
    entries = (
        Entry(**{**it, "expires": inf if it["expires"] is None else float(it["expires"])})
        for it in said["keys"]
    )
    return KeyList(pepper=bytes.fromhex(said["pepper"]), entries=tuple(entries))


async def pepper_of(shelf: Shelf, seal: Callable[[], Seal]) -> bytes:
    """What keys are recognised with; whoever needs it first makes it.

    Raises ``StoreUnavailable`` and ``SealBroken``.
    """
    kept = await shelf.get(PEPPER)
    if kept is None:
        made = seal().close(secrets.token_bytes(32), PEPPER)
        await shelf.add(PEPPER, made, until=None)
        kept = await shelf.get(PEPPER)
    if kept is None:
        raise WrongStore("what keys are recognised with does not stay where it is put")
    return seal().open(kept, PEPPER)


async def last_used(shelf: Shelf, ids: Iterable[str]) -> dict[str, float]:
    """When each of these was last used, in seconds since the epoch, to ten minutes or so."""
    found = {}
    for id in ids:
        if (kept := await shelf.get(USED + id)) is not None:
            found[id] = float(kept)
    return found


async def reseal(shelf: Shelf, seal: Seal) -> int:
    """Seal list and secret anew unless the first encryption key did; how many there were.

    Raises ``StoreUnavailable`` and ``SealBroken``.
    """
    number = int(await directory.reseal(shelf, seal, SHELF))
    kept = await shelf.get(PEPPER)
    if kept is None or not seal.is_stale(kept, PEPPER):
        return number
    await shelf.put(PEPPER, seal.close(seal.open(kept, PEPPER), PEPPER), until=None)
    return number + 1
