"""A hardware module, asked by PKCS #11: keys are made in it and never leave it.

Law: nothing is tried twice that may lock the token, and nothing in it is ever destroyed by us.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tokenward.server.signers import Made, SignerUnavailable

if TYPE_CHECKING:
    from pkcs11 import Session

T = TypeVar("T")

_RSA_BITS = 2048

# A library is for one thread at a time unless it was told otherwise when it was loaded (PKCS #11
# v2.40 §5.4), and two issuers may share one.
_turns: defaultdict[str, Lock] = defaultdict(Lock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11:
    """``[issuers.<name>.keys]`` with ``signer = "pkcs11"``"""

    module: str
    """The library that came with the module, such as `/usr/lib/softhsm/libsofthsm2.so`."""

    token: str
    """The label of the token."""

    pin: str = field(repr=False)
    """The PIN of its user, as `"${NAME}"`."""

    label: str = ""
    """The label of a key pair that was made there by hand; only `tokenward keys rotate` changes
    to another one, which has to have another label. Unless said, this server makes its keys."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"ES256", "RS256", "PS256"})

    _open: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The session, and the private keys found in it, by label."""

    _refused: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if find_spec("pkcs11") is None:
            raise ValueError("pkcs11 is an extra: pip install 'tokenward[server,pkcs11]'")

    @property
    def makes_keys(self) -> bool:
        """Not if somebody else has made one for us."""
        return not self.label

    def make(self, name: str, algorithm: str) -> Made:
        """A new key pair in the token, or the one that was made by hand."""
        label = self.label or f"{name} {secrets.token_hex(4)}"

        def here(session: "Session") -> Made:
            public = self._found(session, label) if self.label else _pair(session, label, algorithm)
            return Made(reference=label, public=public)

        with _turns[self.module]:
            return self._try(here)

    def sign(self, reference: str, algorithm: str, data: bytes) -> bytes:
        """Asked a second time if the session was lost: the token may be back already."""

        def here(session: "Session") -> bytes:
            return self._signed(session, reference, algorithm, data)

        with _turns[self.module]:
            had_one = bool(self._open)
            try:
                return self._try(here)
            except SignerUnavailable:
                if not had_one:
                    raise
                return self._try(here)

    def _signed(self, session: "Session", reference: str, algorithm: str, data: bytes) -> bytes:
        from pkcs11 import MGF, Mechanism, ObjectClass  # noqa: PLC0415

        key: Any = self._open.get(reference)
        if key is None:
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=reference)
            self._open[reference] = key
        if algorithm == "ES256":  # r and s in 32 bytes each: as RFC 7518 §3.4 wants them
            return bytes(key.sign(sha256(data).digest(), mechanism=Mechanism.ECDSA))
        if algorithm == "RS256":
            return bytes(key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))
        salted = (Mechanism.SHA256, MGF.SHA256, 32)  # RFC 7518 §3.5
        return bytes(
            key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS_PSS, mechanism_param=salted)
        )

    def _try(self, here: Callable[["Session"], T]) -> T:
        """Do this in the session; without one, in a new one, and without that, in none."""
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415

        try:
            return here(self._session())
        except PKCS11Error as exc:
            session = self._open.get("")
            self._open.clear()
            with suppress(PKCS11Error):
                if session is not None:
                    session.close()
            raise SignerUnavailable(f"PKCS #11, token {self.token}: {_said(exc)}") from None

    def _session(self) -> "Session":
        if self._refused:
            raise SignerUnavailable(self._refused[0])
        if "" not in self._open:
            import pkcs11  # noqa: PLC0415 - nobody else needs it
            from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415

            library = pkcs11.lib(self.module)
            try:
                self._open[""] = self._login(library)
            except PKCS11Error:
                # Which tokens there are, some libraries ask when they begin and never again.
                library.reinitialize()
                self._open[""] = self._login(library)
        session: Session = self._open[""]
        return session

    def _login(self, library: Any) -> "Session":
        from pkcs11 import exceptions  # noqa: PLC0415

        token = library.get_token(token_label=self.token)
        try:
            session: Session = token.open(rw=True, user_pin=self.pin)
        except exceptions.UserAlreadyLoggedIn:  # by another issuer of ours
            session = token.open(rw=True)
        except (
            exceptions.PinIncorrect,
            exceptions.PinInvalid,
            exceptions.PinLenRange,
            exceptions.PinLocked,
            exceptions.PinExpired,
        ) as exc:
            self._refused.append(
                f"PKCS #11, token {self.token}: refuses the PIN ({_said(exc)}), which is not tried "
                "again before a restart, because a few tries lock a token"
            )
            raise SignerUnavailable(self._refused[0]) from None
        return session

    def _found(self, session: "Session", label: str) -> bytes:
        from pkcs11 import ObjectClass  # noqa: PLC0415

        return _der(session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label))


def _pair(session: "Session", label: str, algorithm: str) -> bytes:
    from pkcs11 import Attribute, KeyType  # noqa: PLC0415
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415

    about: dict[str, Any] = {"store": True, "label": label, "id": secrets.token_bytes(16)}
    if algorithm == "ES256":
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
        public, _ = parameters.generate_keypair(**about)
    else:
        public, _ = session.generate_keypair(KeyType.RSA, _RSA_BITS, **about)
    return _der(public)


def _der(public: Any) -> bytes:
    from pkcs11 import KeyType  # noqa: PLC0415
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415
    from pkcs11.util.rsa import encode_rsa_public_key  # noqa: PLC0415

    encode = encode_ec_public_key if public.key_type is KeyType.EC else encode_rsa_public_key
    return bytes(encode(public))


def _said(exc: Exception) -> str:
    return " ".join(f"{type(exc).__name__} {exc}".split())
