"""A token from an issuer we trust, about its own people (RFC 7523 §3, RFC 8693 §2.1)."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from tokenward.clock import Clock
from tokenward.jose.jws import Expired, InvalidToken
from tokenward.jose.jwt import ACCESS_TOKEN, Claims, issuer_of
from tokenward.jose.keys import ALGORITHMS, KeySet
from tokenward.oauth.errors import InvalidGrant, OAuthError, TemporarilyUnavailable
from tokenward.remote.keysets import RemoteKeys
from tokenward.server.model import Caller
from tokenward.server.presets import Preset
from tokenward.server.proofs import NOT_VOUCHED_FOR, TooOld, Trusting
from tokenward.verifier.verifier import REMEMBER, KeysUnavailable, Verifier


def known(preset: Preset) -> Preset:
    """As it comes: the settings have made it of its name, and of the keys that are its own."""
    return preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """Settings of a trusted issuer."""

    issuer: str
    """The exact ``iss`` of its tokens, trailing slash and all."""

    audience: str
    """Who its tokens must be meant for; a token for several audiences must name this one."""

    jwks_uri: str = ""
    """Where its keys are, if its metadata does not say so or is not to be asked."""

    keys: KeySet | None = None
    """Its keys themselves, where it has no server to ask: a JWKS, or PEM texts."""

    algorithms: frozenset[str] = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
    """What its tokens may be signed with."""

    typ: frozenset[str] = field(default_factory=frozenset)
    """The ``typ`` its tokens must have; empty for ``JWT``, ``at+jwt`` or none at all."""

    preset: Annotated[Preset | None, known] = None
    """The platform of a workload: `github_actions`, `gitlab_ci`, `kubernetes`, `spiffe`, `google`,
    `azure`, `aws`, or `module:Class`. It brings `issuer`, `algorithms` and `typ`."""

    leeway: float = 10.0
    """Seconds its clock may differ from ours."""

    subject: Literal["qualified", "raw"] = "qualified"
    """``qualified``: its people are ``<caller>|<sub>`` here. ``raw``: they keep their ``sub``."""

    onward: ClassVar[bool] = True
    """Its tokens may go on to upstreams that believe it, too."""

    def __post_init__(self) -> None:
        if not self.audience:
            raise ValueError("audience: is needed; without it any token of that issuer would do")
        if not self.algorithms:
            raise ValueError("algorithms: at least one is needed")
        if odd := sorted(it for it in self.typ if it != it.lower() or "/" in it):
            raise ValueError(
                f"typ: {', '.join(odd)}: written in lower case and without application/, "
                'such as "at+jwt"'
            )
        if unknown := self.algorithms - ALGORITHMS:
            known = ", ".join(sorted(ALGORITHMS))
            raise ValueError(f"algorithms: {', '.join(sorted(unknown))}: not one of {known}")
        if not 0 <= self.leeway <= LONGEST_LEEWAY:
            raise ValueError(f"leeway: must be between 0 and {LONGEST_LEEWAY} seconds")

    def trusted(self, trusting: Trusting) -> "TrustedIssuer":
        """The proof itself."""
        verifier = Verifier(
            self.issuer,
            self.audience,
            jwks_uri=self.jwks_uri,
            keys=self.own_keys(trusting.clock) or self.keys,
            algorithms=self.algorithms,
            typ=self.typ or ACCESS_TOKEN,
            leeway=self.leeway,
            clock=trusting.clock,
        )
        return TrustedIssuer(
            trusting=trusting, raw=self.subject == "raw", verifier=verifier, preset=self.preset
        )

    def own_keys(self, clock: Clock) -> RemoteKeys | None:
        """Keys that the platform has a way of its own to, unless the settings say another."""
        way = getattr(self.preset, "keys", None)
        if self.preset is None or way is None or self.keys is not None:
            return None
        keys: RemoteKeys | None = way(clock) if self.jwks_uri == self.preset.jwks_uri else None
        return keys


LONGEST_LEEWAY = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """Believes the tokens of one issuer, for one audience."""

    trusting: Trusting
    raw: bool
    verifier: Verifier
    preset: Preset | None = None
    _known: dict[bytes, Caller] = field(default_factory=dict, init=False, repr=False)
    """By the digest of their token, for as long as the verifier recalls the same claims."""

    def recall(self, digest: bytes) -> Caller | None:
        """A token verified before is believed until it expires or the issuer's keys change."""
        claims = None if self.trusting.revoked else self.verifier.recall(digest)
        return None if claims is None else self._caller(claims, digest)

    async def prove(self, token: str, digest: bytes) -> Caller | None:
        """Verify a token of our issuer; the tokens of others do not concern us."""
        try:
            claims = await self.verifier.averify(token)
        except InvalidToken as exc:
            if issuer_of(token) != self.verifier.expected.issuer:
                return None
            raise self._unbelieved(exc) from None
        revoked = self.trusting.revoked
        if revoked and await revoked(str(claims["iss"]), str(claims.get("jti", ""))):
            raise self.trusting.refused("revoked")
        return self._caller(claims, digest)

    def _caller(self, claims: Claims, digest: bytes) -> Caller:
        """Who the claims speak of: the same caller for the same token."""
        known = self._known.get(digest)
        if known is not None and known.claims is claims:
            return known
        if len(self._known) >= REMEMBER:
            self._known.clear()
        caller = self._known[digest] = self._believed(claims)
        return caller

    def _believed(self, claims: Claims) -> Caller:
        if self.preset and (fault := self.preset.fault(claims)):
            raise self.trusting.refused(fault)
        exp = claims["exp"]
        if not isinstance(exp, int | float):
            raise self.trusting.refused("exp: not a date")
        return self.trusting.caller(claims, claims.get("sub"), expires_at=exp, raw=self.raw)

    def _unbelieved(self, exc: InvalidToken) -> OAuthError:
        told = self.trusting.told(exc)
        if isinstance(exc, Expired):
            return TooOld("the token has expired", detail=told)
        if isinstance(exc, KeysUnavailable):
            return TemporarilyUnavailable(
                "the keys of the token's issuer cannot be had just now", detail=told
            )
        return InvalidGrant(NOT_VOUCHED_FOR, detail=told)
