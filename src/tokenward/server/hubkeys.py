"""User-group keys of Textile's: how they are spelled, and what is known of those made here.

A key is no secret, for it is in every copy of an application; with its secret, the application's
server signs. To check what it signed takes the secret itself, so this is kept, not its hash.

Law of this module: a secret is kept sealed, whoever reads the tables of the database; and a key
that has one is never mistaken for a key that needs none.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tokenward.jose import multibase
from tokenward.server import directory
from tokenward.server.seal import Seal
from tokenward.server.stores import Shelf, WrongStore

LONGEST_KEY = 128
SHORTEST_SECRET = 16
"""Bytes; the original's have 24."""

KEY_BYTES, SECRET_BYTES = 16, 24
"""Of those that are made here, as the original made them."""

USER, ACCOUNT = "user", "account"
"""Whose a key is: of the people of an application, or of who made it. A rule may ask."""

SHELF = "hub-keys/"
"""What the places of editions of the list begin with."""

SECRET = "hub-key-secret/"
"""What the places begin with where the secrets are, each of them sealed."""

_KEY = re.compile(r"b[a-z2-7]+")
_SPELLING = "must be base32 with a b before it: only the letters a to z and the digits 2 to 7"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key, as far as a server has to know it."""

    key: str
    caller: str
    """The ``[callers.<name>]`` it is for."""

    type: str = USER
    secret: bytes = field(default=b"", repr=False)
    """Empty if the key needs none."""


def make() -> tuple[str, str]:
    """A new key and its secret."""
    return (
        multibase.encode(secrets.token_bytes(KEY_BYTES)),
        multibase.encode(secrets.token_bytes(SECRET_BYTES)),
    )


def key_fault(key: str) -> str:
    """What is wrong with a user-group key, in words without it; empty if nothing is."""
    if not key:
        return "is missing: the user-group key of the application"
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        return _SPELLING
    return _undecodable(key)


def secret_fault(secret: str) -> str:
    """What is wrong with the secret of such a key; quotes nothing of it."""
    if not secret:
        return "is missing; development = true says that there is none"
    if len(secret) > LONGEST_KEY or not _KEY.fullmatch(secret):
        return _SPELLING
    if fault := _undecodable(secret):
        return fault
    if len(multibase.decode(secret)) < SHORTEST_SECRET:
        return f"must have {SHORTEST_SECRET} bytes at least"
    return ""


def _undecodable(text: str) -> str:
    try:
        multibase.decode(text)
    except ValueError:
        return "is cut off, or not spelled as base32 is: the last characters cannot be right"
    return ""


def to_bytes(entries: Iterable[Entry]) -> bytes:
    """All of it; seal it before a store sees it."""
    said = [
        {"key": it.key, "caller": it.caller, "type": it.type, "secret": it.secret.hex() or None}
        for it in entries
    ]
    return json.dumps({"version": _VERSION, "keys": said}).encode()


def from_bytes(data: bytes) -> tuple[Entry, ...]:
    """What ``to_bytes`` made; raises ``WrongStore`` for what a later version made."""
    said = json.loads(data)
    if said["version"] != _VERSION:
        raise WrongStore(
            f"the list of hub keys is of version {said['version']}, and this tokenward knows "
            f"{_VERSION}: use the newer one"
        )
    return tuple(
        Entry(
            key=it["key"],
            caller=it["caller"],
            type=it["type"],
            secret=b"" if it["secret"] is None else _whole(bytes.fromhex(it["secret"])),
        )
        for it in said["keys"]
    )


def _whole(secret: bytes) -> bytes:
    if len(secret) < SHORTEST_SECRET:
        raise WrongStore("the list of hub keys has a secret that is none")
    return secret


async def keep_secret(key: str, secret: bytes, *, shelf: Shelf, seal: Callable[[], Seal]) -> None:
    """Put the secret of a key where it stays. Raises ``StoreUnavailable``."""
    place = SECRET + key
    await shelf.put(place, seal().close(secret, place), until=None)


async def secret_of(key: str, *, shelf: Shelf, seal: Callable[[], Seal]) -> bytes:
    """The secret of a key. Raises ``StoreUnavailable``, ``SealBroken`` and ``WrongStore``."""
    place = SECRET + key
    if (kept := await shelf.get(place)) is None:
        raise WrongStore(f"the secret of the hub key {key} is not where it was put")
    return _whole(seal().open(kept, place))


async def forget_secret(key: str, *, shelf: Shelf) -> None:
    """Let go of it: nothing that it has signed will be looked at again."""
    await shelf.drop(SECRET + key)


async def reseal(shelf: Shelf, seal: Seal) -> int:
    """Seal list and secrets anew unless the first encryption key did; how many there were.

    Raises ``StoreUnavailable`` and ``SealBroken``.
    """
    number = int(await directory.reseal(shelf, seal, SHELF))
    for place in await shelf.keys(SECRET):
        kept = await shelf.get(place)
        if kept is not None and seal.is_stale(kept, place):
            await shelf.put(place, seal.close(seal.open(kept, place), place), until=None)
            number += 1
    return number
