"""Our signing keys: one ring per issuer and algorithm, never shared, kept sealed in the store.

The first process to need a ring makes it; all others, and all later ones, read what it kept.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.jose.keys import KeySet, SigningKey
from tokenward.server.seal import Seal
from tokenward.server.stores import Shelf

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of one issuer for one algorithm, the one that signs first."""

    keys: tuple[SigningKey, ...] = field(repr=False)
    _verifying: KeySet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        verifying = KeySet(tuple(key.verifying_key() for key in self.keys))
        object.__setattr__(self, "_verifying", verifying)

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str:
        """Sign with the current key."""
        return self.keys[0].sign(claims, typ=typ)

    def jwks(self) -> dict[str, object]:
        """The public keys as a JWK Set (RFC 7517 §5), the current one first."""
        return {"keys": [key.public_jwk() for key in self.keys]}

    def verifying(self) -> KeySet:
        """The public keys, to verify our own tokens with."""
        return self._verifying

    def to_bytes(self) -> bytes:
        """All of it, private keys too: seal it before anybody sees it."""
        kept = [b64encode(key.to_bytes()).decode() for key in self.keys]
        return json.dumps({"version": _VERSION, "keys": kept}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Ring":
        """What ``to_bytes`` made."""
        kept = json.loads(data)
        return cls(tuple(SigningKey.from_bytes(b64decode(key)) for key in kept["keys"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """Where rings are kept."""

    shelf: Shelf
    seal: Seal

    async def ring(self, issuer: str, algorithm: str) -> Ring:
        """The ring of an issuer, by its name; made now if there is none yet.

        Raises ``StoreUnavailable``, and ``SealBroken`` if it was sealed with another key.
        """
        place = f"ring/{issuer}/{algorithm}"
        kept = await self.shelf.get(place)
        if kept is None:
            ring = Ring((SigningKey.generate(algorithm),))
            sealed = self.seal.close(ring.to_bytes(), place)
            if await self.shelf.add(place, sealed, until=None):
                return ring
            kept = await self.shelf.get(place)
        if kept is None:
            raise LookupError(f"{place}: was there a moment ago")
        return Ring.from_bytes(self.seal.open(kept, place))
