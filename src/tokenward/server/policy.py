"""May they? An ordered list of ``[[allow]]`` rules; what no rule allows is refused.

Law of this module: pure, and nobody else makes an ``Authorization``. The same grant always gets
the same answer, so it can be asked before anything is at stake (``tokenward explain``) and again
when it is.

The first rule whose conditions hold decides. Its conditions are the caller, the claims, the
client, the grant type, the actor, the token, and that it covers all of the scope asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.oauth.errors import (
    OAuthError,
    ScopeNotAllowed,
    ScopeRequired,
    TargetNotAllowed,
    UnauthorizedClient,
    UnknownScope,
)
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server.model import NOBODY, NOBODY_ELSE, Authorization, Grant
from tokenward.server.patterns import matches

ANY = "*"
REMEMBER = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A token there is to ask for, as far as the policy needs to know it."""

    name: str
    audience: str = ""
    """The other name it may be asked for by."""

    issuer: str = ""
    """The issuer of ours that mints it; ``""`` if it is fetched."""

    scopes: Scope = NOTHING
    """The vocabulary; where it is empty, scopes are ignored and not answered."""

    default: Scope = NOTHING
    """What is given to those who ask for no scope in particular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Allow this caller, if these claims hold, this token, with this scope."""

    name: str
    caller: str
    token: str
    scope: Scope = NOTHING
    claims: Mapping[str, object] = field(default_factory=dict)
    client: str = ""
    """The registered client that must be asking; ``""`` for any, nobody included."""

    actor: str = ""
    """The caller who must be acting for them; ``""`` for any, nobody included."""

    grant_types: frozenset[str] = frozenset()
    """Empty for any."""

    lifetime: float = math.inf
    """Seconds."""


# How far a rule came before a condition failed; further is nearer.
_CALLER, _CLIENT, _GRANT_TYPE, _ACTOR, _CLAIMS, _TOKEN, _SCOPE, _HOLDS = range(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says to one grant."""

    rule: Rule
    reached: int
    reason: str

    @property
    def holds(self) -> bool:
        """Whether the rule decides."""
        return self.reached == _HOLDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All rules, and all there is to ask for."""

    rules: tuple[Rule, ...]
    targets: Mapping[str, Target]
    """By name."""

    _here: Mapping[str, frozenset[str]] = field(init=False, repr=False)
    """The tokens to be had at each issuer, by its name; ``""`` for the whole origin."""

    _fetched: frozenset[str] = field(init=False, repr=False)
    """The tokens that no issuer of ours mints: to be had everywhere."""

    _called: Mapping[str, frozenset[str]] = field(init=False, repr=False)
    """The tokens that a target may mean."""

    _of: Mapping[str, tuple[Rule, ...]] = field(init=False, repr=False)
    """The rules that may concern a caller, in order, where any rule names them."""

    _agreed: dict[int, Authorization] = field(init=False, repr=False, compare=False)
    """What was agreed to, by the id of the grant, which it holds: nobody else has that id."""

    def __post_init__(self) -> None:
        targets = self.targets.values()
        issuers = {"", *(target.issuer for target in targets)}
        names = {name for target in targets for name in (target.name, target.audience) if name}
        here = {
            issuer: frozenset(it.name for it in targets if not issuer or it.issuer in ("", issuer))
            for issuer in issuers
        }
        called = {
            name: frozenset(it.name for it in targets if name in (it.name, it.audience))
            for name in names
        }
        of = {
            caller: tuple(rule for rule in self.rules if rule.caller in (caller, ANY))
            for caller in {ANY, *(rule.caller for rule in self.rules)}
        }
        object.__setattr__(self, "_here", here)
        object.__setattr__(self, "_fetched", frozenset(it.name for it in targets if not it.issuer))
        object.__setattr__(self, "_called", called)
        object.__setattr__(self, "_of", of)
        object.__setattr__(self, "_agreed", {})

    def decide(self, grant: Grant) -> Authorization:
        """Agree to a grant, or refuse it.

        Raises ``InvalidTarget`` if no rule allows such a token, ``InvalidScope`` if the scope is
        too wide, ``UnauthorizedClient`` if only the grant type is in the way.
        """
        if (agreed := self._agreed.get(id(grant))) is not None:
            return agreed
        agreed = self._decide(grant)
        if not (grant.handle or grant.shown or grant.answered):  # which are secrets, and come once
            if len(self._agreed) >= REMEMBER:
                self._agreed.clear()
            self._agreed[id(grant)] = agreed
        return agreed

    def _decide(self, grant: Grant) -> Authorization:
        wanted = self._wanted(grant)
        rules = self._of.get(grant.caller.name) or self._of[ANY]
        holding = [rule for rule in rules if self._fault(rule, grant, wanted) is None]
        rule = holding[0] if len(holding) == 1 else self._one_of(holding, grant, wanted)
        return Authorization(
            grant=grant,
            token=rule.token,
            scope=self._scope(grant, rule),
            lifetime=rule.lifetime,
            rule=rule.name,
        )

    def trial(self, token: str) -> Authorization | None:
        """What the first rule for this token allows, in nobody's name: to try its source with."""
        rule = next((rule for rule in self.rules if rule.token == token), None)
        if rule is None:
            return None
        nobody = Grant(caller=NOBODY_ELSE, client=NOBODY, grant_type="")
        scope = self.targets[token].default & rule.scope or rule.scope
        return Authorization(
            grant=nobody, token=token, scope=scope, lifetime=rule.lifetime, rule=rule.name
        )

    def explain(self, grant: Grant) -> list[Verdict]:
        """What every rule says, in order; the first that holds for the token decides."""
        wanted = self._wanted(grant)
        return [self._verdict(rule, grant, wanted) for rule in self.rules]

    def _wanted(self, grant: Grant) -> frozenset[str]:
        """The tokens a request may mean; all targets must lead to one (RFC 8707 §2)."""
        wanted = self._here.get(grant.issuer, self._fetched)
        for asked in grant.targets:
            wanted = wanted & self._called.get(asked, frozenset())
        if not wanted:
            raise TargetNotAllowed(detail=f"nothing here is called {list(grant.targets)}")
        return wanted

    def _one_of(self, holding: list[Rule], grant: Grant, wanted: frozenset[str]) -> Rule:
        """The first rule for the only token there is to ask for, or for the caller's default."""
        tokens = sorted({rule.token for rule in holding})
        if not tokens:
            raise self._refusal(grant, wanted)
        if len(tokens) == 1:
            return holding[0]
        for rule in holding:
            if rule.token == grant.caller.default:
                return rule
        raise TargetNotAllowed(
            "say which token: audience is required", detail=f"it could be any of {tokens}"
        )

    def _scope(self, grant: Grant, rule: Rule) -> Scope:
        target = self.targets[rule.token]
        if not target.scopes:
            return NOTHING
        most = rule.scope if grant.client.scope is None else rule.scope & grant.client.scope
        scope = grant.scope or (target.default & most) or most
        if not scope:
            raise ScopeRequired(detail=f"rule {rule.name!r} gives none by itself")
        return scope

    def _verdict(self, rule: Rule, grant: Grant, wanted: frozenset[str]) -> Verdict:
        reached, reason = self._fault(rule, grant, wanted) or (_HOLDS, "holds")
        return Verdict(rule=rule, reached=reached, reason=reason)

    def _fault(self, rule: Rule, grant: Grant, wanted: frozenset[str]) -> tuple[int, str] | None:
        """The first condition that fails, in the order of ``reached``, and how to say it."""
        client, target = grant.client, self.targets[rule.token]
        fault = None
        if not _is_caller(rule, grant):
            fault = _CALLER, f"is for caller {rule.caller!r}"
        elif rule.client not in ("", client.id):
            fault = _CLIENT, f"is for client {rule.client!r}"
        elif rule.grant_types and grant.grant_type not in rule.grant_types:
            fault = _GRANT_TYPE, f"is for grant types {sorted(rule.grant_types)}"
        elif rule.actor not in ("", ANY, grant.actor.name) or (rule.actor and not grant.actor):
            fault = _ACTOR, f"is for actor {rule.actor!r}"
        elif missing := unlike(rule.claims, grant.caller.claims):
            fault = _CLAIMS, f"wants other claims: {', '.join(missing)}"
        elif rule.token not in wanted:
            fault = _TOKEN, f"is for token {rule.token!r}"
        elif target.scopes and (surplus := grant.scope - rule.scope):
            fault = _SCOPE, f"does not cover {surplus}"
        elif target.scopes and client.scope is not None and (surplus := grant.scope - client.scope):
            fault = _SCOPE, f"client {client.id!r} is not registered for {surplus}"
        return fault

    def _refusal(self, grant: Grant, wanted: frozenset[str]) -> OAuthError:
        """The error, naming to the operator the rule that came nearest."""
        verdicts = [self._verdict(rule, grant, wanted) for rule in self.rules]
        nearest = max(verdicts, key=lambda verdict: verdict.reached, default=None)
        if nearest is None:
            return TargetNotAllowed(detail="there are no rules")
        detail = f"nearest rule {nearest.rule.name!r} {nearest.reason}"
        if nearest.reached == _SCOPE:
            unknown = grant.scope - self.targets[nearest.rule.token].scopes
            if unknown:
                return UnknownScope(detail=detail)
            return ScopeNotAllowed(detail=detail)
        if nearest.reached == _GRANT_TYPE:
            return UnauthorizedClient(detail=detail)
        return TargetNotAllowed(detail=detail)


def _is_caller(rule: Rule, grant: Grant) -> bool:
    """``*`` is every registered client speaking for itself, and nobody's people."""
    if rule.caller == ANY:
        return bool(grant.client) and grant.caller.subject == grant.client.id
    return rule.caller == grant.caller.name


def unlike(wanted: Mapping[str, object], claims: Mapping[str, object]) -> list[str]:
    """The names of the claims that are not as wanted."""
    return [name for name, value in wanted.items() if not matches(value, _at(name, claims))]


def _at(path: str, claims: Mapping[str, object]) -> object:
    """The claim of that name, or, where there is none, what a dotted path leads to.

    A name on the way may have dots itself: ``kubernetes.io.namespace``.
    """
    if path in claims:
        return claims[path]
    for place, character in enumerate(path):
        inside = claims.get(path[:place]) if character == "." else None
        if isinstance(inside, Mapping) and (found := _at(path[place + 1 :], inside)) is not None:
            return found
    return None
