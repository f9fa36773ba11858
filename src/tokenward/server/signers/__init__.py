"""Who signs for us, if our private keys are to lie somewhere else?

A signer keeps private keys where nobody can copy them: a hardware module, a cloud's key service.
It makes keys and signs with them; what it hands over are public halves and signatures.

Both of its methods may take their time. They are called in a thread that is theirs alone, one
call after the other, and callers wait for a while only. Whatever they raise, the caller of the
server hears 503.

To add one, write a file with a class that keeps this contract and name it in
``server/plugins.py``. Its fields are its settings: those of ``[issuers.<name>.keys]``.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from tokenward.oauth.errors import TemporarilyUnavailable


class SignerUnavailable(TemporarilyUnavailable):
    """Whoever holds the key cannot sign now: locked, unplugged, busy, gone. Callers hear 503."""

    def __init__(self, detail: str) -> None:
        super().__init__("the server cannot sign just now", detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A key that a signer holds."""

    reference: str
    """What the signer calls it; ASCII, and good for as long as the key is there."""

    public: bytes
    """Its public half in DER: SubjectPublicKeyInfo, or PKCS #1 for RSA."""


class Signer(Protocol):
    """Somebody who holds private keys and signs with them."""

    algorithms: ClassVar[frozenset[str]]
    """What it can sign with, of ES256, RS256, PS256, EdDSA."""

    makes_keys: bool
    """Whether every ``make`` is a new key, so that keys may change by themselves."""

    def make(self, name: str, algorithm: str) -> Made:
        """A key that has not signed yet, if there can be one; raises ``SignerUnavailable``.

        ``name`` says to people what it is for.
        """
        ...

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """The signature as a JWS has it (RFC 7518 §3); raises ``SignerUnavailable``."""
        ...
