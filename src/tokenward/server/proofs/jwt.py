"""A token from an issuer we trust, about its own people (RFC 7523 §3, RFC 8693 §2.1)."""

from dataclasses import dataclass, field
from typing import Literal

from tokenward.clock import Clock
from tokenward.jose.jws import Expired, InvalidToken
from tokenward.jose.jwt import ACCESS_TOKEN, Claims, issuer_of
from tokenward.jose.keys import ALGORITHMS, KeySet
from tokenward.oauth.errors import InvalidGrant, TemporarilyUnavailable
from tokenward.server.model import Caller
from tokenward.server.proofs import NOT_VOUCHED_FOR
from tokenward.verifier.verifier import KeysUnavailable, Verifier


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
        taken: frozenset[str],
        clock: Clock,
    ) -> "TrustedIssuer":
        """The proof itself; ``taken`` are ids of clients and callers that nobody else may have."""
        verifier = Verifier(
            self.issuer,
            self.audience,
            jwks_uri=self.jwks_uri,
            keys=self.keys,
            algorithms=self.algorithms,
            typ=self.typ or ACCESS_TOKEN,
            leeway=self.leeway,
            clock=clock,
        )
        return TrustedIssuer(
            name=name, default=default, taken=taken, raw=self.subject == "raw", verifier=verifier
        )


LONGEST_LEEWAY = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """Believes the tokens of one issuer, for one audience."""

    name: str
    default: str
    taken: frozenset[str]
    raw: bool
    verifier: Verifier

    def recall(self, digest: bytes) -> Caller | None:
        """A token verified before is believed until it expires or the issuer's keys change."""
        claims = self.verifier.recall(digest)
        return None if claims is None else self._caller(claims)

    async def prove(self, token: str, digest: bytes) -> Caller | None:  # noqa: ARG002
        """Verify a token of our issuer; the tokens of others do not concern us."""
        if issuer_of(token) != self.verifier.expected.issuer:
            return None
        try:
            claims = await self.verifier.averify(token)
        except Expired as exc:
            raise InvalidGrant("the token has expired", detail=self._told(exc)) from None
        except KeysUnavailable as exc:
            raise TemporarilyUnavailable(
                "the keys of the token's issuer cannot be had just now", detail=self._told(exc)
            ) from None
        except InvalidToken as exc:
            raise InvalidGrant(NOT_VOUCHED_FOR, detail=self._told(exc)) from None
        return self._caller(claims)

    def _caller(self, claims: Claims) -> Caller:
        sub, exp = claims.get("sub"), claims["exp"]
        if not isinstance(sub, str) or not sub or not isinstance(exp, int | float):
            raise InvalidGrant(NOT_VOUCHED_FOR, detail=f"caller {self.name!r}: sub: missing")
        if self.raw and (sub in self.taken or sub.partition("|")[0] in self.taken):
            # A sub that reads like a client's or another caller's subject would be taken for it.
            raise InvalidGrant(
                NOT_VOUCHED_FOR, detail=f"caller {self.name!r}: sub: belongs to another"
            )
        return Caller(
            name=self.name,
            subject=sub if self.raw else f"{self.name}|{sub}",
            claims=claims,
            expires_at=exp,
            default=self.default,
        )

    def _told(self, exc: Exception) -> str:
        return f"caller {self.name!r}: {exc}"
