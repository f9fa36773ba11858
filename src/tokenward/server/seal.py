"""Secrets at rest: sealed with AES-256-GCM before a store sees them.

What is sealed is bound to the place it is kept at, so that one record cannot be put in the place
of another. A store that is stolen without the key gives nobody a token.

There may be several keys while one takes the place of another: the first one seals, and each one
opens what it has sealed. Text and files name them in that order, apart by white space or commas.
"""

import hmac
import logging
import os
import re
import secrets
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE = 12
KEY_BYTES = 32
MOST_KEYS = 8

KEYS = re.compile(r"[\s,]*[A-Za-z0-9_-]{43}=?([\s,]+[A-Za-z0-9_-]{43}=?)*[\s,]*")
"""One or several keys as somebody writes them: base64url (RFC 4648 §5), the newest first."""

_BETWEEN = re.compile(r"[\s,]+")

_log = logging.getLogger("tokenward.server")


class SealBroken(Exception):
    """What was kept is not what we sealed, or was sealed with another key."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The key-encryption keys: the first one seals, all of them open."""

    keys: tuple[AESGCM, ...] = field(repr=False)
    _marking: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, *keys: bytes) -> "Seal":
        """Use these keys; raises ``ValueError`` unless there are a few, each of 32 bytes."""
        if not 0 < len(keys) <= MOST_KEYS:
            raise ValueError(f"there are 1 to {MOST_KEYS} encryption keys, not {len(keys)}")
        for key in keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"an encryption key has {KEY_BYTES} bytes, not {len(key)}")
        said = b"tokenward: names of what is kept"
        marking = tuple(hmac.digest(key, said, "sha256") for key in keys)
        return cls(tuple(AESGCM(key) for key in keys), marking)

    @classmethod
    def from_text(cls, text: str) -> "Seal":
        """Use the keys written here as base64url; raises ``ValueError``."""
        if not KEYS.fullmatch(text):
            raise ValueError(f"no encryption key of {KEY_BYTES} bytes in base64url")
        written = [one.rstrip("=") for one in _BETWEEN.split(text) if one]
        return cls.of(*(urlsafe_b64decode(one + "=") for one in written))

    @classmethod
    def from_file(cls, path: Path) -> "Seal":
        """Use the keys in this file, which is made, for its owner's eyes only, if there is none.

        Raises ``SealBroken`` if something else is in it, and ``OSError``.
        """
        if not path.exists():
            draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(urlsafe_b64encode(os.urandom(KEY_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # of two processes that start at once, one wins
                path.hardlink_to(draft)
            draft.unlink()
        if path.stat().st_mode & stat.S_IROTH:
            _log.warning("%s can be read by everybody on this machine: chmod 600", path)
        try:
            return cls.from_text(path.read_text(encoding="ascii"))
        except ValueError:
            raise SealBroken(
                f"{path}: holds something else than encryption keys, each 32 bytes in base64url"
            ) from None

    def mark(self, data: bytes) -> str:
        """A name for this, the same wherever this key is, from which nobody can guess it."""
        return hmac.digest(self._marking[0], data, "sha256").hex()

    def has_marked(self, data: bytes, mark: str) -> bool:
        """Whether that is the name of this, by any of the keys; takes the same time if not."""
        names = [hmac.digest(key, data, "sha256").hex().encode() for key in self._marking]
        said = mark.encode()
        return any([hmac.compare_digest(name, said) for name in names])  # noqa: C419 - all

    def close(self, data: bytes, place: str) -> bytes:
        """Seal what is to be kept at this place."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self.keys[0].encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for this place; raises ``SealBroken``."""
        return self._opened(sealed, place)[1]

    def is_stale(self, sealed: bytes, place: str) -> bool:
        """Whether it was sealed with another key than would seal it now; raises ``SealBroken``."""
        return self._opened(sealed, place)[0] > 0

    def _opened(self, sealed: bytes, place: str) -> tuple[int, bytes]:
        if sealed[:1] != _VERSION:
            raise SealBroken(f"{place}: not sealed by this version")
        nonce, hidden, at = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], place.encode()
        for number, key in enumerate(self.keys):
            with suppress(InvalidTag, ValueError):
                return number, key.decrypt(nonce, hidden, at)
        raise SealBroken(f"{place}: sealed with another encryption key")
