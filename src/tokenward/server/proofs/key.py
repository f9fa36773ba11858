"""A key of one's own: whoever can sign with it is who it says, and nobody else has to vouch.

Which keys may come is said here. That somebody has theirs, they show by signing a question that
``challenges`` asked.
"""

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from tokenward.jose.identity import KINDS, PublicKey, UnusableKey
from tokenward.server.model import Caller
from tokenward.server.proofs import Trusting
from tokenward.server.values import Wrong, refusal

REMEMBER = 4_096
"""Strangers whose caller is remembered, so that what was decided about them is known at once."""


def public_keys(value: object) -> frozenset[PublicKey]:
    """Public keys in any notation we know; one is a list of one."""
    found = []
    for number, entry in enumerate(value if isinstance(value, list) else [value]):
        try:
            if isinstance(entry, str):
                found.append(PublicKey.from_string(entry))
            elif isinstance(entry, dict):
                found.append(PublicKey.from_jwk(entry))
            else:
                raise refusal(entry, 'a public key such as "bbaarei…", or a JWK as a table')
        except UnusableKey as exc:
            raise Wrong(
                f"is {exc}",
                "a libp2p string (b…), did:key:z…, a JWK, or a line of OpenSSH (ssh-ed25519 …)",
                at=(number,) if isinstance(value, list) else (),
            ) from None
        except ValueError as exc:
            if isinstance(exc, Wrong):
                raise
            raise Wrong(f"is no key: {exc}") from None
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Settings of those who are their keys."""

    keys: Annotated[frozenset[PublicKey], public_keys] = frozenset()
    """The public keys that may come, each as a libp2p string (`bbaarei…`), `did:key:z…`, a JWK or
    a line of OpenSSH (`ssh-ed25519 …`). They are compared as keys, whatever they are written as."""

    anybody: bool = False
    """Whether every key may come, known or not: anybody can make as many as they like, so the rules
    decide what a key is worth. Say how often one address may ask (`[limits] address`) besides."""

    types: frozenset[str] = KINDS
    """The kinds of keys that may: `ed25519`, `p256`, `secp256k1`, `rsa`."""

    subject: Literal["qualified", "raw"] = "qualified"
    """`qualified`: they are `<caller>|<key>` here. `raw`: they are their key."""

    by_challenge: ClassVar[bool] = True
    listed: ClassVar[bool] = True
    """Whoever may come is named here, or it is said that anybody may: a rule need not repeat it."""

    def __post_init__(self) -> None:
        if not self.keys and not self.anybody:
            raise ValueError("keys: is needed, or anybody = true; without them nobody can come")
        if self.keys and self.anybody:
            raise ValueError("anybody: lets every key come, and keys would mean nothing")
        if not self.types:
            raise ValueError("types: at least one is needed")
        if unknown := self.types - KINDS:
            known = ", ".join(sorted(KINDS))
            raise ValueError(f"types: {', '.join(sorted(unknown))}: not one of {known}")
        if odd := sorted({key.kind for key in self.keys} - self.types):
            raise ValueError(f"types: has not {', '.join(odd)}, which some of the keys are")

    def trusted(self, trusting: Trusting) -> "KeyHolders":
        """The proof itself."""
        return KeyHolders(trusting=trusting, settings=self)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolders:
    """Knows whose key is whose."""

    trusting: Trusting
    settings: Key
    _known: dict[PublicKey, Caller] = field(default_factory=dict, init=False, repr=False)

    @property
    def anybody(self) -> bool:
        """Whether it knows every key."""
        return self.settings.anybody

    def owner(self, key: PublicKey) -> Caller | None:
        """Whose key this is; ``None`` if nobody's who may come."""
        if key.kind not in self.settings.types or not (self.anybody or key in self.settings.keys):
            return None
        if (known := self._known.get(key)) is not None:
            return known
        if len(self._known) >= REMEMBER:
            self._known.clear()
        raw = self.settings.subject == "raw"
        if raw and key.text in self.trusting.taken:
            return None
        claims = MappingProxyType({"key": key.text, "key_type": key.kind})
        caller = self._known[key] = self.trusting.caller(
            claims, key.text, expires_at=math.inf, raw=raw
        )
        return caller
