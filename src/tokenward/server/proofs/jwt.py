"""A token from an issuer we trust, about its own people (RFC 7523 §3, RFC 8693 §2.1)."""

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tokenward.clock import Clock
from tokenward.jose.jws import Expired, InvalidToken
from tokenward.jose.jwt import ACCESS_TOKEN, Claims, issuer_of
from tokenward.jose.keys import ALGORITHMS, KeySet
from tokenward.oauth.errors import InvalidGrant, OAuthError, TemporarilyUnavailable
from tokenward.remote.keysets import RemoteKeys
from tokenward.server.model import Caller
from tokenward.server.presets import Preset
from tokenward.server.proofs import NOT_VOUCHED_FOR, TooOld
from tokenward.verifier.verifier import REMEMBER, KeysUnavailable, Verifier

Revoked = Callable[[str, str], Awaitable[bool]]
"""Whether the token with this issuer and this ``jti`` was revoked."""


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

    def trusted(
        self,
        *,
        name: str,
        default: str,
        taken: Container[str],
        clock: Clock,
        revoked: Revoked | None = None,
    ) -> "TrustedIssuer":
        """The proof itself; ``taken`` are ids of clients and callers that nobody else may have.

        ``revoked`` tells for our own tokens, which are never remembered, whether one was revoked.
        """
        verifier = Verifier(
            self.issuer,
            self.audience,
            jwks_uri=self.jwks_uri,
            keys=self.own_keys(clock) or self.keys,
            algorithms=self.algorithms,
            typ=self.typ or ACCESS_TOKEN,
            leeway=self.leeway,
            clock=clock,
        )
        return TrustedIssuer(
            name=name,
            default=default,
            taken=taken,
            raw=self.subject == "raw",
            preset=self.preset,
            verifier=verifier,
            revoked=revoked,
        )

    def own_keys(self, clock: Clock) -> RemoteKeys | None:
        """Keys that the platform has a way of its own to, unless the settings say another."""
        way = getattr(self.preset, "keys", None)
        if self.preset is None or way is None or self.keys is not None:
            return None
        keys: RemoteKeys | None = way(clock) if self.jwks_uri == self.preset.jwks_uri else None
        return keys


LONGEST_LEEWAY = 300
LONGEST_SUB = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """Believes the tokens of one issuer, for one audience."""

    name: str
    default: str
    taken: Container[str]
    raw: bool
    verifier: Verifier
    revoked: Revoked | None = None
    preset: Preset | None = None
    _known: dict[bytes, Caller] = field(default_factory=dict, init=False, repr=False)
    """By the digest of their token, for as long as the verifier recalls the same claims."""

    def recall(self, digest: bytes) -> Caller | None:
        """A token verified before is believed until it expires or the issuer's keys change."""
        claims = None if self.revoked else self.verifier.recall(digest)
        return None if claims is None else self._caller(claims, digest)

    async def prove(self, token: str, digest: bytes) -> Caller | None:
        """Verify a token of our issuer; the tokens of others do not concern us."""
        try:
            claims = await self.verifier.averify(token)
        except InvalidToken as exc:
            if issuer_of(token) != self.verifier.expected.issuer:
                return None
            raise self._unbelieved(exc) from None
        if self.revoked and await self.revoked(str(claims["iss"]), str(claims.get("jti", ""))):
            raise self._refused("revoked")
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
            raise self._refused(fault)
        sub, exp = claims.get("sub"), claims["exp"]
        if not isinstance(sub, str) or not sub or not isinstance(exp, int | float):
            raise self._refused("sub: missing")
        if len(sub) > LONGEST_SUB or not sub.isprintable():
            raise self._refused("sub: too long, or not printable")
        if "cnf" in claims:
            # Bound to a key whose possession nobody has shown us (RFC 9449 §7.1, RFC 8705 §3).
            raise self._refused("cnf: bound to a key, so not to be shown by just anybody")
        if self.raw and (sub in self.taken or sub.partition("|")[0] in self.taken):
            # A sub that reads like a client's or another caller's subject would be taken for it.
            raise self._refused("sub: belongs to another")
        return Caller(
            name=self.name,
            subject=sub if self.raw else f"{self.name}|{sub}",
            claims=claims,
            expires_at=exp,
            default=self.default,
        )

    def _unbelieved(self, exc: InvalidToken) -> OAuthError:
        if isinstance(exc, Expired):
            return TooOld("the token has expired", detail=self._told(exc))
        if isinstance(exc, KeysUnavailable):
            return TemporarilyUnavailable(
                "the keys of the token's issuer cannot be had just now", detail=self._told(exc)
            )
        return InvalidGrant(NOT_VOUCHED_FOR, detail=self._told(exc))

    def _refused(self, why: str) -> InvalidGrant:
        return InvalidGrant(NOT_VOUCHED_FOR, detail=f"caller {self.name!r}: {why}")

    def _told(self, exc: Exception) -> str:
        return f"caller {self.name!r}: {exc}"
