"""Secrets that we know by their hash alone: each with a name for the trail, and perhaps an end.

Only the SHA-256 of a secret is ever written down. That is enough because the secrets are generated
(``tokenward hash``: 256 bits), never chosen: nothing can be guessed back from a fast hash.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Self, TypeVar

from tokenward.server.values import Wrong, did_you_mean, refusal, table, text

T = TypeVar("T")

SOON = 30 * 86_400.0
"""Seconds before its end from which a secret is warned of."""

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One secret; raises ``ValueError`` for what is no hash."""

    hash: str = field(repr=False)
    """``sha256:…``"""

    name: str = ""
    """What the audit trail calls it; the first eight digits of the hash unless said."""

    expires: float = inf
    """When it ends, in seconds since the epoch."""

    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _HASH.fullmatch(self.hash):
            raise ValueError(
                "not a hash such as sha256:<64 hex digits>; "
                "make one with: tokenward hash (the file never holds the secret itself)"
            )
        digits = self.hash.removeprefix("sha256:")
        object.__setattr__(self, "digest", bytes.fromhex(digits))
        object.__setattr__(self, "name", self.name or digits[:8])

    @classmethod
    def read(cls, written: Mapping[str, object]) -> Self:
        """Read ``{ hash = "sha256:…", name = "…", expires = 2027-01-01T00:00:00Z }``."""
        keys = {"hash", "name", "expires"}
        for key in written.keys() - keys:
            raise Wrong("is not a key of this table", did_you_mean(key, keys), at=(key,))
        if "hash" not in written:
            raise Wrong("hash is missing", "make one with: tokenward hash")
        name = _at("name", text, written.get("name", ""))
        if "name" in written and not _NAME.fullmatch(name):
            raise Wrong("must be letters, digits, dots and dashes, at most 64", at=("name",))
        expires = _at("expires", _moment, written["expires"]) if "expires" in written else inf
        hash = _at("hash", text, written["hash"])
        try:
            return cls(hash=hash, name=name, expires=expires)
        except ValueError as exc:
            raise Wrong(str(exc), at=("hash",)) from None


def known_secrets(value: object) -> tuple[str | Known, ...]:
    """A list of hashes, each as it is or in a table with what else there is to say of it."""
    if isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list):
        raise refusal(value, 'a list of hashes such as ["sha256:…"]')
    found: list[str | Known] = []
    for position, one in enumerate(value):
        try:
            found.append(text(one) if isinstance(one, str) else Known.read(table(one)))
        except Wrong as exc:
            raise Wrong(str(exc), exc.hint, at=(position, *exc.at)) from None
    return tuple(found)


def ending(secrets: Iterable[object], now: float) -> Iterable[tuple[int, str]]:
    """Which of them have ended or will soon, by position, and a sentence about each."""
    for position, secret in enumerate(secrets):
        if isinstance(secret, Known) and secret.expires <= now + SOON:
            day = datetime.fromtimestamp(secret.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
            when = "expired on" if secret.expires <= now else "expires on"
            yield position, f"the secret {secret.name} {when} {day}"


def _at(key: str, read: Callable[[object], T], value: object) -> T:
    try:
        return read(value)
    except Wrong as exc:
        raise Wrong(str(exc), exc.hint, at=(key,)) from None


def _moment(value: object) -> float:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Wrong("must be a time with its zone, such as 2027-01-01T00:00:00Z, without quotes")
    return value.timestamp()
