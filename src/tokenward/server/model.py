"""The nouns.

A *caller* has proved who they are. A *grant* is a right somebody has shown to have. An
*authorization* is a grant our policy agreed to. Sources accept only authorizations and only the
policy makes them, so that no token can leave without a decision: skipping a step is a type error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from tokenward.oauth.messages import JWT_BEARER, TOKEN_EXCHANGE
from tokenward.oauth.scope import NOTHING, Scope

NO_CLAIMS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who has proved who they are."""

    name: str
    """The ``[callers.<name>]`` that vouches for them; for a client, its own."""

    subject: str
    """Who they are, unique among all callers: ``<name>|<sub>`` of a foreign issuer's people."""

    claims: Mapping[str, object] = field(default_factory=lambda: NO_CLAIMS, repr=False)
    """What else their proof says about them."""

    expires_at: float = math.inf
    """When their proof ends (seconds since the epoch): no token of ours outlives it."""

    default: str = ""
    """The token meant when their request names none."""

    credential: str = ""
    """Which of their keys or certificates it was, as the audit trail calls it."""

    onward: bool = False
    """Whether what they showed may be shown to an upstream, too: an issuer's token may, and what
    was for us alone may not."""

    def __bool__(self) -> bool:
        return bool(self.name)


NOBODY_ELSE = Caller(name="", subject="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A caller registered with us, or nobody (client metadata, RFC 7591 §2)."""

    id: str
    name: str = ""
    """The ``[callers.<name>]`` it is registered as; its id unless that says otherwise."""

    grant_types: frozenset[str]
    scope: Scope | None = None
    """The most it may ever have; ``None`` where only the rules decide."""

    default: str = ""
    public: bool = False
    """Whether it can prove nothing about itself (RFC 6749 §2.1)."""

    certificate_bound: bool = False
    """Whether its tokens are good only together with its certificate (RFC 8705 §3)."""

    _caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        caller = Caller(name=self.name or self.id, subject=self.id, default=self.default)
        object.__setattr__(self, "_caller", caller)

    def __bool__(self) -> bool:
        return bool(self.id)

    def as_caller(self) -> Caller:
        """The client speaking for itself (RFC 6749 §4.4)."""
        return self._caller


NOBODY = Client(id="", grant_types=frozenset({TOKEN_EXCHANGE, JWT_BEARER}))
"""Whoever is not registered here can still be vouched for by somebody we trust."""


class Proved(NamedTuple):
    """How a client showed who it is, as the audit trail tells it; no secret is in it."""

    method: str = ""
    """As in IANA's registry of token endpoint authentication methods."""

    credential: str = ""
    """Which of its secrets, keys or certificates it was."""


UNPROVED = Proved()


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """When and how a person signed in here; ``NOBODY_SIGNED_IN`` if none did."""

    at: float = 0.0
    how: tuple[str, ...] = ()
    session: str = ""
    nonce: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.session)


NOBODY_SIGNED_IN = Login()


class Shown(NamedTuple):
    """The tokens that were shown to prove a right, for upstreams that want to see them too.

    They are kept nowhere: a grant that has them is not remembered and stands behind no handle.
    """

    subject_token: str = ""
    actor_token: str = ""

    def __bool__(self) -> bool:
        return bool(self.subject_token)

    def __repr__(self) -> str:
        return "Shown(…)" if self else "Shown()"


NOTHING_SHOWN = Shown()


class Answered(NamedTuple):
    """Somebody's answer to a challenge of an upstream's that we passed on to them."""

    session: str = ""
    """Which challenge it was."""

    signature: str = ""

    def __bool__(self) -> bool:
        return bool(self.session)

    def __repr__(self) -> str:
        return "Answered(…)" if self else "Answered()"


NOT_ANSWERED = Answered()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who wants what, by which right (RFC 6749 §1.3).

    This is also what an authorization code or a refresh token stands for: redeeming one gives
    back the grant it was made from.
    """

    caller: Caller
    client: Client
    grant_type: str
    issuer: str = ""
    """The issuer at whose endpoint it was asked for; ``""`` for the whole origin."""

    targets: tuple[str, ...] = ()
    scope: Scope = NOTHING
    actor: Caller = NOBODY_ELSE
    """Who acts for the caller (RFC 8693 §1.1), if somebody does."""

    certificate: str = ""
    """The SHA-256 of the certificate that the token is to be bound to (``x5t#S256``)."""

    login: Login = NOBODY_SIGNED_IN
    offline: bool = False
    handle: str = field(default="", repr=False)
    """The code or refresh token it was redeemed from, spent when a token leaves."""

    shown: Shown = field(default=NOTHING_SHOWN, repr=False, compare=False)
    """What proved it, where some upstream wants to see that; nothing in every other case."""

    answered: Answered = field(default=NOT_ANSWERED, repr=False, compare=False)
    """What an upstream wants to have answered besides; nothing in every other case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A grant the policy agreed to: which token, and how much of it."""

    grant: Grant
    token: str
    scope: Scope
    lifetime: float
    """The most seconds the token may live, as the rule says; infinite if it does not say."""

    rule: str
    """The name of the rule that decided."""
