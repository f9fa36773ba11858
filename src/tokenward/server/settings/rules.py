"""Who may have what? ``[[allow]]``: the first rule whose conditions hold decides."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from tokenward.oauth.messages import CLIENT_CREDENTIALS
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server.config import Report, fill, spelled
from tokenward.server.policy import ANY, Rule
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.clients import grant_type_names
from tokenward.server.settings.names import read_table
from tokenward.server.settings.tokens import Tokens, TokenSettings
from tokenward.server.settings.whose import check_claims
from tokenward.server.values import (
    At,
    Within,
    Wrong,
    did_you_mean,
    refusal,
    table,
)

ALL = Scope(frozenset({"*"}))


def patterns(value: object) -> dict[str, object]:
    """Claims and what they must be: a string, a number, a boolean, or a list of those."""
    return {
        name: _pattern(name, wanted)
        for name, wanted in table(value, '{ permissions = "models:read" }').items()
    }


def _pattern(name: str, wanted: object) -> object:
    if isinstance(wanted, list):
        if not wanted:
            raise Wrong("must not be empty: no claim is any of nothing", at=(name,))
        return tuple(_scalar(name, one) for one in wanted)
    return _scalar(name, wanted)


def _scalar(name: str, wanted: object) -> object:
    if isinstance(wanted, dict):
        inner = next(iter(wanted), "name")
        raise Wrong(
            "must be no table", f'quote the way to what is inside: "{name}.{inner}" = …', at=(name,)
        )
    if not isinstance(wanted, str | bool | int | float):
        exc = refusal(wanted, "a string, a number, a boolean or a list of those")
        exc.at = (name,)
        raise exc
    if isinstance(wanted, float) and not math.isfinite(wanted):
        raise Wrong("must be a number that JSON has", at=(name,))
    return str(wanted) if isinstance(wanted, str) else wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTable:
    """``[[allow]]``"""

    name: str = ""
    """What the audit trail calls it; `rule 3 (caller → token)` unless said."""

    caller: str
    """Who it is for: the name of a caller, or `*` for all clients speaking for themselves."""

    token: str
    """What they may have."""

    scope: Scope | None = None
    """How much of it: scopes, or `*` for all of them. Needed where the token has scopes."""

    claims: Annotated[Mapping[str, object], patterns] = field(default_factory=dict)
    """What their proof must say: `{ permissions = "models:read" }`. A list means any of them;
    `*` stands for anything without `:` and `/`, `**` for anything; `"a.b"` looks into objects."""

    client: str = ""
    """The client that must be asking; any, or none at all, unless said."""

    actor: str = ""
    """The caller who must act for them (RFC 8693 §4.1), `*` for any; nobody must unless said."""

    grant_types: Annotated[frozenset[str], grant_type_names] = frozenset()
    """The grant types that may be used; any unless said."""

    lifetime: Annotated[float, Within("5s", "24h")] = math.inf
    """How long the token is good for at most; as long as the token's own unless said."""


def read_rules(
    tables: tuple[object, ...], callers: Callers, tokens: Tokens, report: Report
) -> tuple[Rule, ...]:
    """Read all rules, in order, and see whether each can ever decide."""
    rules: list[tuple[int, Rule]] = []
    names: dict[str, int] = {}
    for number, value in enumerate(tables):
        at: At = ("allow", number)
        written = read_table(value, at, report)
        if written is None:
            continue
        one = fill(RuleTable, spelled(written, at, report, RuleTable), at, report)
        if one is None:
            continue
        name = one.name or f"rule {number + 1} ({one.caller} → {one.token})"
        if name in names:
            report.error((*at, "name"), f"is the name of rule {names[name] + 1} already")
        names.setdefault(name, number)
        _check_who(one, at, callers, report)
        rules.append((number, _rule(name, one, callers, _scope(one, at, tokens, report))))
    _check_reach(rules, callers, report)
    _check_use(rules, callers, tokens, report)
    return tuple(rule for _, rule in rules)


def _rule(name: str, one: RuleTable, callers: Callers, scope: Scope) -> Rule:
    client = callers.client_named(one.client)
    return Rule(
        name=name,
        caller=one.caller,
        token=one.token,
        scope=scope,
        claims=one.claims,
        client=client.id if client else one.client,
        actor=one.actor,
        grant_types=one.grant_types,
        lifetime=one.lifetime,
    )


def _check_who(one: RuleTable, at: At, callers: Callers, report: Report) -> None:
    known = callers.declared | {ANY}
    for key, name in ("caller", one.caller), ("actor", one.actor):
        if name and name not in known:
            report.error((*at, key), "there is no such caller", did_you_mean(name, known - {ANY}))
    if one.client and one.client in callers.subjects:
        report.error((*at, "client"), "is no client: it vouches for people only")
    elif one.client and one.client not in callers.declared:
        report.error(
            (*at, "client"), "there is no such client", did_you_mean(one.client, callers.clients)
        )
    if one.claims and (one.caller == ANY or one.caller in callers.clients):
        report.error((*at, "claims"), "a client has no claims: this rule would never hold")
    if one.caller in callers.subjects:
        check_claims(one.claims, one.caller, one.client, at, callers, report)


def _scope(one: RuleTable, at: At, tokens: Tokens, report: Report) -> Scope:
    """How much of the token the rule allows."""
    if one.token not in tokens.declared:
        report.error(
            (*at, "token"), "there is no such token", did_you_mean(one.token, tokens.declared)
        )
    if one.token not in tokens.read:
        return one.scope or NOTHING
    token = tokens.read[one.token]
    _check_lifetime(one, token, at, report)
    if not token.scopes and one.scope:
        report.error(
            (*at, "scope"),
            f"the token {token.name} has no scopes",
            f"say which there are in [tokens.{token.name}], or leave this out",
        )
    elif token.scopes and not one.scope:
        report.error(
            (*at, "scope"),
            "is missing: which scopes of the token are allowed?",
            f'scope = "{token.vocabulary}", or scope = "*" for all there are',
        )
    if one.scope == ALL and "*" not in token.vocabulary:
        return token.vocabulary
    scope = one.scope or NOTHING
    if token.scopes and (surplus := scope - token.vocabulary):
        report.error(
            (*at, "scope"),
            f"the token {token.name} has no {surplus}",
            did_you_mean(next(iter(surplus)), token.scopes),
        )
    return scope


def _check_lifetime(one: RuleTable, token: TokenSettings, at: At, report: Report) -> None:
    if math.isinf(one.lifetime):
        return
    if token.upstream is not None:
        report.warn((*at, "lifetime"), "a fetched token cannot be shortened")
    elif one.lifetime > token.lifetime:
        report.warn(
            (*at, "lifetime"), f"is longer than that of [tokens.{token.name}], which counts"
        )


def _check_reach(rules: list[tuple[int, Rule]], callers: Callers, report: Report) -> None:
    """Warn of rules that can never decide, because an earlier one always does."""
    for position, (number, rule) in enumerate(rules):
        for _, earlier in rules[:position]:
            if _covers(earlier, rule, clients=frozenset(callers.clients)):
                report.warn(
                    ("allow", number), f'is never reached: rule "{earlier.name}" decides before it'
                )
                break


def _covers(earlier: Rule, rule: Rule, *, clients: frozenset[str]) -> bool:
    """Whether whatever the one allows, the earlier one has allowed before."""
    return (
        (earlier.caller == rule.caller or (earlier.caller == ANY and rule.caller in clients))
        and earlier.token == rule.token
        and rule.scope <= earlier.scope
        and earlier.client in ("", rule.client)
        and (earlier.actor in ("", rule.actor) or (earlier.actor == ANY and bool(rule.actor)))
        and (not earlier.grant_types or frozenset() < rule.grant_types <= earlier.grant_types)
        and all(
            name in rule.claims and repr(rule.claims[name]) == repr(wanted)
            for name, wanted in earlier.claims.items()
        )
    )


def _check_use(
    rules: list[tuple[int, Rule]], callers: Callers, tokens: Tokens, report: Report
) -> None:
    wanted = {rule.token for _, rule in rules}
    for name in tokens.read:
        if name not in wanted:
            report.warn(("tokens", name), "nobody may have it: no rule allows it")
    named = {name for _, rule in rules for name in (rule.caller, rule.client, rule.actor)}
    for name, settings in callers.clients.items():
        client = settings.registered.client
        if CLIENT_CREDENTIALS in client.grant_types and not named & {name, client.id, ANY}:
            report.warn(("callers", name), "may have nothing: no rule is for it")
