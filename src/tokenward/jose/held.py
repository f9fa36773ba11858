"""Keys that sign elsewhere: the private half is in a hardware module or with a key service.

What they write is what any other key writes (RFC 7515 §5.1); only that one has to wait for it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenward.jose.algorithms import PublicKey, UnusableKey
from tokenward.jose.jws import decode, dump_object, encode, load_object, segment
from tokenward.jose.keys import SigningKey, VerifyingKey, head, published

Ask: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""(signed) -> the signature, once whoever holds the key has made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """The public half of a key of ours, and whom to ask for signatures."""

    public: VerifyingKey
    """With the key's id."""

    reference: str
    """What its holder calls it."""

    certificate: bytes = field(default=b"", repr=False)
    """In DER, for RSA keys only."""

    ask: Ask = field(repr=False, compare=False)

    @property
    def kid(self) -> str:
        """The key's id."""
        return self.public.kid or ""

    @property
    def algorithm(self) -> str:
        """The one algorithm it is for."""
        return self.public.algorithm

    async def sign(self, claims: Mapping[str, object], *, typ: str = "JWT") -> str:
        """Write a compact JWS of these claims (RFC 7515 §5.1).

        Raises TypeError or ValueError for claims that JSON cannot say, and what `ask` raises.
        """
        signed = head(self.algorithm, typ, self.kid) + segment(dump_object(claims))
        return b".".join((signed, segment(await self.ask(signed)))).decode()

    def public_jwk(self) -> dict[str, object]:
        """Write the public half as it stands in a JWKS (RFC 7517 §4)."""
        return published(self.public, self.certificate)

    def verifying_key(self) -> VerifyingKey:
        """Give the public half."""
        return self.public

    def to_bytes(self) -> bytes:
        """Write the key for storage.  There is no secret in it."""
        spki = self.public.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return dump_object(
            {
                "version": 1,
                "kid": self.kid,
                "algorithm": self.algorithm,
                "public": encode(spki),
                "certificate": encode(self.certificate),
                "reference": self.reference,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, asking: Callable[[VerifyingKey, str], Ask]) -> Self:
        """Read what `to_bytes` wrote.  Raises ValueError for anything else.

        `asking` says whom to ask, by the key and by what its holder calls it.
        """
        try:
            kept = load_object(data)
            kid, algorithm, public, certificate, reference = (
                str(kept[name])
                for name in ("kid", "algorithm", "public", "certificate", "reference")
            )
            loaded = serialization.load_der_public_key(decode(public))
            if kept["version"] != 1 or not isinstance(loaded, PublicKey):
                raise ValueError  # noqa: TRY301 - said below
            key = VerifyingKey(kid=kid, algorithm=algorithm, public=loaded)
            cert = decode(certificate)
        except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            raise UnusableKey("not a held key of ours") from None
        return cls(public=key, reference=reference, certificate=cert, ask=asking(key, reference))


OurKey: TypeAlias = SigningKey | HeldKey
"""A key that signs for us, wherever its private half is."""
