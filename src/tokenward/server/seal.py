"""Secrets at rest: sealed with AES-256-GCM before a store sees them.

What is sealed is bound to the place it is kept at, so that one record cannot be put in the place
of another. A store that is stolen without the key gives nobody a token.
"""

import logging
import os
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

_log = logging.getLogger("tokenward.server")


class SealBroken(Exception):
    """What was kept is not what we sealed, or was sealed with another key."""


@dataclass(frozen=True, slots=True)
class Seal:
    """One key-encryption key."""

    key: AESGCM = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> "Seal":
        """Use this key; raises ``ValueError`` unless it has 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"an encryption key has {KEY_BYTES} bytes, not {len(key)}")
        return cls(AESGCM(key))

    @classmethod
    def from_text(cls, text: str) -> "Seal":
        """Use a key written as base64url; raises ``ValueError``."""
        return cls.of(urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4)))

    @classmethod
    def from_file(cls, path: Path) -> "Seal":
        """Use the key in this file, which is made, for its owner's eyes only, if there is none."""
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
            raise SealBroken(f"{path}: is no encryption key of 32 bytes in base64url") from None

    def close(self, data: bytes, place: str) -> bytes:
        """Seal what is to be kept at this place."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self.key.encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for this place; raises ``SealBroken``."""
        if sealed[:1] != _VERSION:
            raise SealBroken(f"{place}: not sealed by this version")
        try:
            return self.key.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], place.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"{place}: sealed with another encryption key") from None
