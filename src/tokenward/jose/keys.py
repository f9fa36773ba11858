"""Keys: the ones we believe, the sets they come in, and the ones we sign with (RFC 7517).

Law: one key, one algorithm, fixed when the key is loaded (RFC 8725 §3.1).  What a token's header
says chooses among these keys and can never bring one.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tokenward.jose import algorithms, jwk
from tokenward.jose.algorithms import ALGORITHMS, Check, PrivateKey, PublicKey, Sign, UnusableKey
from tokenward.jose.jwk import thumbprint
from tokenward.jose.jws import LONGEST_NAME, decode, dump_object, encode, load_object, segment

__all__ = ["ALGORITHMS", "KeySet", "SigningKey", "UnusableKey", "VerifyingKey", "thumbprint"]

NO_MARKS: Mapping[str, str] = MappingProxyType({})
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingKey:
    """A public key and the one algorithm it is for.

    Making one raises ValueError if the key does not fit the algorithm or is not sound.  Two are
    equal if key id, algorithm and key are.  `thumbprint` is that of RFC 7638.
    """

    kid: str | None
    algorithm: str
    public: PublicKey = field(repr=False, compare=False)
    thumbprint: str = field(init=False)
    _check: Check = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kid is not None and not 0 < len(self.kid) <= LONGEST_NAME:
            raise UnusableKey("a key id of no sane length")
        object.__setattr__(self, "_check", algorithms.checker(self.algorithm, self.public))
        object.__setattr__(self, "thumbprint", thumbprint(jwk.members(self.public)))

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Say whether the signature belongs to these bytes.  Never raises."""
        return self._check(signed, signature)

    @classmethod
    def from_jwk(cls, document: Mapping[str, object]) -> Self:
        """Read a public JWK (RFC 7517 §4).  Raises ValueError for anything else.

        Refused are secret members, symmetric keys, other uses than signing, `key_ops` without
        `verify`, unsound keys.  Without `alg` the key is for its curve's algorithm or RS256.
        """
        kid = document.get("kid")
        if not isinstance(kid, str | None):
            raise UnusableKey("a key id that is no string")
        public = jwk.public_key(document)
        algorithm = document["alg"] if "alg" in document else algorithms.algorithm_of(public)
        if not isinstance(algorithm, str):
            raise UnusableKey("an algorithm that is no string")
        return cls(kid=kid, algorithm=algorithm, public=public)

    @classmethod
    def from_pem(cls, pem: bytes | str, algorithm: str = "", kid: str | None = None) -> Self:
        """Read a public key or a certificate in PEM.  Raises ValueError.

        Of a certificate only the key counts: nobody asks who signed it or until when.
        """
        try:
            data = pem.encode() if isinstance(pem, str) else pem
            public: object
            if b"-----BEGIN CERTIFICATE-----" in data:
                # Certificates double the time that importing cryptography takes.
                from tokenward.jose import certificates  # noqa: PLC0415

                public = certificates.public_key(data)
            else:
                public = serialization.load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise UnusableKey("not a public key in PEM") from None
        if not isinstance(public, PublicKey):
            raise UnusableKey("not a kind of key we know")
        return cls(kid=kid, algorithm=algorithm or algorithms.algorithm_of(public), public=public)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The public keys of one issuer (RFC 7517 §5).  The order of the keys means nothing.

    `skipped` says why entries of the document it was parsed from are not among them.
    """

    keys: tuple[VerifyingKey, ...] = ()
    skipped: tuple[str, ...] = field(default=(), compare=False)
    _by_kid: Mapping[tuple[str | None, str], tuple[VerifyingKey, ...]] = field(
        init=False, repr=False, compare=False
    )
    _only: Mapping[str, VerifyingKey] = field(init=False, repr=False, compare=False)
    _kids: frozenset[str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_kid: dict[tuple[str | None, str], tuple[VerifyingKey, ...]] = {}
        distinct: dict[str, dict[str, VerifyingKey]] = {}
        keys = tuple(
            sorted(set(self.keys), key=lambda key: (key.kid or "", key.algorithm, key.thumbprint))
        )
        for key in keys:
            for name in algorithms.names_of(key.algorithm):
                by_kid[key.kid, name] = (*by_kid.get((key.kid, name), ()), key)
                distinct.setdefault(name, {})[key.thumbprint] = key
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "_by_kid", by_kid)
        only = {name: [*found.values()] for name, found in distinct.items() if len(found) == 1}
        object.__setattr__(self, "_only", {name: key for name, (key,) in only.items()})
        object.__setattr__(self, "_kids", frozenset(key.kid for key in keys))

    @classmethod
    def parse(cls, document: object) -> Self:
        """Read a JWKS that has been JSON until now.  Entries we cannot use are skipped.

        Raises ValueError if it is no JWKS, or one of more than 100 keys.
        """
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise UnusableKey("not a JWKS")
        if len(entries) > _MOST_KEYS:
            raise UnusableKey("a JWKS of too many keys")
        keys, skipped = [], []
        for number, entry in enumerate(entries):
            try:
                if not isinstance(entry, dict):
                    raise UnusableKey("not an object")
                keys.append(VerifyingKey.from_jwk(entry))
            except ValueError as exc:
                skipped.append(f"keys[{number}]: {exc}")
        return cls(tuple(keys), tuple(skipped))

    def find(self, kid: str | None, alg: str) -> tuple[VerifyingKey, ...]:
        """Choose the keys that a header means; usually one, several if the issuer reused an id.

        With `kid`: the keys of that id and algorithm.  Where no key at all has that id, a key
        without an id serves, if it is the only one of its algorithm.  Without `kid`: the only
        key of that algorithm, whatever its id; if there are several, none (we do not try
        keys in turn).
        """
        if kid is not None:
            found = self._by_kid.get((kid, alg))
            if found:
                return found
        only = self._only.get(alg)
        if only is None or (kid is not None and (only.kid is not None or kid in self._kids)):
            return ()
        return (only,)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key and the one algorithm it is for.

    An empty `kid` writes headers without one.  `certificate` is DER, for RSA keys only: some
    clients read the key from `x5c` and from nowhere else.  `marks` stand in every header, too.
    """

    kid: str
    algorithm: str
    private: PrivateKey = field(repr=False, compare=False)
    certificate: bytes = field(default=b"", repr=False)
    marks: Mapping[str, str] = field(default_factory=lambda: NO_MARKS, repr=False, compare=False)
    _verifying: VerifyingKey = field(init=False, repr=False)
    _sign: Sign = field(init=False, repr=False, compare=False)
    _heads: dict[str, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        verifying = VerifyingKey(
            kid=self.kid or None, algorithm=self.algorithm, public=self.private.public_key()
        )
        object.__setattr__(self, "_verifying", verifying)
        object.__setattr__(self, "_sign", algorithms.signer(self.algorithm, self.private))
        object.__setattr__(self, "_heads", {})

    def sign(self, claims: Mapping[str, object], *, typ: str = "JWT") -> str:
        """Write a compact JWS of these claims (RFC 7515 §5.1).

        Raises TypeError or ValueError for claims that JSON cannot say.
        """
        signed = (self._heads.get(typ) or self._head(typ)) + segment(dump_object(claims))
        return b".".join((signed, segment(self._sign(signed)))).decode()

    def public_jwk(self) -> dict[str, object]:
        """Write the public half as it stands in a JWKS (RFC 7517 §4)."""
        return published(self._verifying, self.certificate)

    def verifying_key(self) -> VerifyingKey:
        """Give the public half."""
        return self._verifying

    def to_bytes(self) -> bytes:
        """Write the key, secret and all, for storage.  **Not encrypted.**"""
        pkcs8 = self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return dump_object(
            {
                "version": 1,
                "kid": self.kid,
                "algorithm": self.algorithm,
                "private": encode(pkcs8),
                "certificate": encode(self.certificate),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.  Raises ValueError for anything else."""
        try:
            kept = load_object(data)
            kid, algorithm, private, certificate = (
                str(kept[name]) for name in ("kid", "algorithm", "private", "certificate")
            )
            # Proving again that p and q are prime would cost 30 ms for every key at every start.
            # A signature that fits the public half says enough: we wrote this ourselves.
            loaded = serialization.load_der_private_key(
                decode(private), None, unsafe_skip_rsa_key_validation=True
            )
            if kept["version"] != 1 or not isinstance(loaded, PrivateKey):
                raise ValueError  # noqa: TRY301 - said below
            key = cls(kid=kid, algorithm=algorithm, private=loaded, certificate=decode(certificate))
            if not key._verifying.verify(b"trial", key._sign(b"trial")):
                raise ValueError  # noqa: TRY301 - said below
        except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            raise UnusableKey("not a signing key of ours") from None
        return key

    @classmethod
    def generate(cls, algorithm: str, *, kid: str = "") -> Self:
        """Make a new key (RSA: 2048 bits), named by its thumbprint unless `kid` names it.

        Raises ValueError for an algorithm we do not know.
        """
        return cls._new(algorithms.generate(algorithm), algorithm, kid)

    @classmethod
    def from_pem(cls, pem: bytes | str, *, algorithm: str = "", kid: str = "") -> Self:
        """Read a private key in PEM, without a password.  Raises ValueError.

        Without `algorithm` it is for its curve's algorithm or RS256.
        """
        private = algorithms.private_key(pem)
        return cls._new(private, algorithm or algorithms.algorithm_of(private.public_key()), kid)

    @classmethod
    def _new(cls, private: PrivateKey, algorithm: str, kid: str) -> Self:
        verifying = VerifyingKey(kid=None, algorithm=algorithm, public=private.public_key())
        certificate = b""
        if isinstance(private, rsa.RSAPrivateKey):
            # Certificates double the time that importing cryptography takes.
            from tokenward.jose import certificates  # noqa: PLC0415

            certificate = certificates.self_signed(private, verifying.thumbprint)
        return cls(
            kid=kid or verifying.thumbprint,
            algorithm=algorithm,
            private=private,
            certificate=certificate,
        )

    def _head(self, typ: str) -> bytes:
        self._heads[typ] = written = head(self.algorithm, typ, self.kid, self.marks)
        return written


def published(key: VerifyingKey, certificate: bytes = b"") -> dict[str, object]:
    """Write a key of ours as it stands in our JWKS (RFC 7517 §4); `certificate` is DER."""
    document = jwk.members(key.public)
    if key.kid:
        document["kid"] = key.kid
    document |= {"use": "sig", "alg": key.algorithm}
    if certificate:
        # Here base64 is the usual one, with padding (RFC 7517 §4.7).
        document["x5c"] = [b64encode(certificate).decode()]
    return document


def head(algorithm: str, typ: str, kid: str, marks: Mapping[str, str] = NO_MARKS) -> bytes:
    """Write what stands before the claims: the header and its dot (RFC 7515 §7.1)."""
    header = {"alg": algorithm, "typ": typ, "kid": kid, **marks}
    return segment(dump_object({name: said for name, said in header.items() if said})) + b"."
