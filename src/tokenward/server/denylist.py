"""Tokens of ours that were revoked before their time (RFC 7009), remembered until it comes."""

from dataclasses import dataclass
from hashlib import sha256

from tokenward.server.stores import Shelf

_OURS = 32
"""Characters in a ``jti`` of ours, which stands for itself."""


@dataclass(frozen=True, slots=True)
class DenyList:
    """Revoked access tokens, by issuer and ``jti``."""

    shelf: Shelf

    async def revoke(self, issuer: str, jti: str, *, until: float) -> None:
        """Believe this token no longer; ``until`` is when it would have expired."""
        await self.shelf.put(_key(issuer, jti), b"", until=until)

    async def revoked(self, issuer: str, jti: str) -> bool:
        """Whether this token was revoked: one read."""
        return await self.shelf.get(_key(issuer, jti)) is not None


def _key(issuer: str, jti: str) -> str:
    if len(jti) != _OURS:  # what others call their tokens can be of any length
        jti = sha256(jti.encode()).hexdigest()
    return f"deny/{issuer}/{jti}"
