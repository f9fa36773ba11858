"""What is there to ask for? ``[tokens.<name>]``: ours, minted here, or theirs, fetched for others.

A token without ``upstream`` is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from tokenward.oauth.scope import NOTHING, Scope
from tokenward.server import plugins
from tokenward.server.config import Report, fill, settings_of, spelled
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.connecting import check_connecting
from tokenward.server.settings.fetched import check_scopes, read_fetched, signs_for
from tokenward.server.settings.issuers import MAIN, Issuers, minting
from tokenward.server.settings.names import check_name, read_table
from tokenward.server.upstreams import Upstream
from tokenward.server.values import (
    REPORTED,
    At,
    Within,
    Wrong,
    did_you_mean,
    scope,
    texts_by_name,
)

FETCHED_ONLY = {
    "scope_check": "a token of ours has the scope it was given",
    "min_life": "a token of ours is always new",
}


def vocabulary(value: object) -> dict[str, str]:
    """Scopes and what they mean; or only scopes."""
    if isinstance(value, str | list):
        return dict.fromkeys(scope(value), "")
    found = texts_by_name(value)
    for name in found:
        if scope(name) != Scope(frozenset({name})):
            raise Wrong("must be one scope, without blanks", at=(name,))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """``[tokens.<name>]``"""

    upstream: str = ""
    """Where it is fetched: `client_credentials`, `token_exchange`, `jwt_bearer`, `refresh_token`,
    `connection`, `github_app`, `textile_hub`, `textile_userauth`, `static`, or `module:Class`.
    Without it and without `preset`, it is ours."""

    preset: str = ""
    """The platform it is fetched from: `auth0`, `entra`, `github`, `google`, `itwin` or `okta`.
    Then only what differs there has to be said."""

    from_: str = ""
    """Ours: the issuer that mints it; `main`, or the only one there is, unless said."""

    audience: str = ""
    """The API it is for: its `aud`, if it is ours, and the other name it may be asked for by.
    Needed for ours."""

    scopes: Annotated[Mapping[str, str], vocabulary] | None = None
    """All the scopes it can have and what they mean, `{ "read" = "Read all" }`, or a list of
    them. Without any, scopes are ignored and not answered."""

    default: Scope = NOTHING
    """The scopes of those who ask for none."""

    lifetime: Annotated[float, Within("5s", "24h")] = 900.0
    """Ours: how long it is good for."""

    introspectors: frozenset[str] = frozenset()
    """Ours: the clients that may introspect it; all others hear that it is not active."""

    scope_check: Literal["on", "off"] = "on"
    """Fetched: `off` for platforms that answer with other names for the scopes asked for."""

    min_life: Annotated[float, Within("0s", "24h")] = 120.0
    """Fetched: how long it is still good for, at least, when it is handed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """One token there is to ask for."""

    name: str
    issuer: str = ""
    """The name of the issuer of ours that mints it; ``""`` if it is fetched."""

    audience: str = ""
    scopes: Mapping[str, str]
    """What its scopes mean, by name."""

    default: Scope = NOTHING
    lifetime: float = 900.0
    """Seconds."""

    introspectors: frozenset[str] = frozenset()
    """Client ids."""

    upstream: Upstream | None = None
    signs: str = ""
    """The issuer of ours that signs what goes to the upstream, if one does."""

    scope_check: bool = True
    fresh: float = 120.0
    """Seconds for which a fetched token must still be good when it is handed out."""

    @property
    def vocabulary(self) -> Scope:
        """The names of its scopes."""
        return Scope(frozenset(self.scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """All of them, as far as they could be read."""

    declared: frozenset[str]
    read: Mapping[str, TokenSettings]


def read_tokens(
    tables: Mapping[str, object], issuers: Issuers, callers: Callers, report: Report
) -> Tokens:
    """Read all tokens, and see whether each can be told from the others."""
    read: dict[str, TokenSettings] = {}
    for name, value in tables.items():
        at: At = ("tokens", name)
        check_name(name, at, report)
        table = read_table(value, at, report)
        if table is None:
            continue
        if "upstream" in table or "preset" in table:
            token = _theirs(name, table, at, report, issuers)
        else:
            token = _ours(name, table, at, report, issuers=issuers, callers=callers)
        if token is not None:
            read[name] = token
            _check_scopes(token, at, report)
    _check_clashes(read, report)
    check_connecting({name: it.upstream for name, it in read.items()}, callers, issuers, report)
    return Tokens(declared=frozenset(tables), read=read)


def _theirs(
    name: str, table: Mapping[str, object], at: At, report: Report, issuers: Issuers
) -> TokenSettings | None:
    found = read_fetched(table, at, report, TokenTable)
    if found is None:
        return None
    common, upstream = found
    if common.scope_check == "off":
        report.warn(
            (*at, "scope_check"),
            "whatever scope the upstream gives is handed out, even more than was allowed",
        )
    return TokenSettings(
        name=name,
        audience=common.audience,
        scopes=common.scopes or {},
        default=common.default,
        upstream=upstream,
        signs=signs_for(upstream, common.preset, at, issuers, report),
        scope_check=common.scope_check == "on",
        fresh=common.min_life,
    )


def _ours(
    name: str,
    table: Mapping[str, object],
    at: At,
    report: Report,
    *,
    issuers: Issuers,
    callers: Callers,
) -> TokenSettings | None:
    for key, reason in FETCHED_ONLY.items():
        if key in table:
            report.error((*at, key), "is for fetched tokens", reason)
    upstreams = _of_upstreams()
    strange = [key for key in table if key in upstreams and key not in settings_of(TokenTable)]
    if len(strange) > 1:
        report.error(
            (*at, "upstream"),
            f"is missing, but {' and '.join(strange)} are of a fetched token",
            f'upstream = "{upstreams[strange[0]]}"',
        )
        return None
    hints = {key: f'a fetched token says upstream = "{name}"' for key, name in upstreams.items()}
    hints["issuer"] = f'one of ours says from = "{MAIN}", and {hints["issuer"]}'
    table = spelled(table, at, report, TokenTable, hints=hints)
    if "audience" not in table:
        report.error(
            (*at, "audience"), "is missing", "the API it is for, or upstream = … to fetch it"
        )
        table = {**table, "audience": REPORTED}
    common = fill(TokenTable, table, at, report)
    if common is None:
        return None
    if not common.audience:
        report.error((*at, "audience"), "is empty")
    issuer = minting(common.from_, at, issuers, report)
    if issuers.profiles.get(issuer) == "ims" and not common.scopes:
        report.error(
            (*at, "scopes"),
            "are needed: clients of an ims issuer refuse a token without scopes",
            'scopes = { "itwin-platform" = "The iTwin Platform" }',
        )
    if issuers.profiles.get(issuer) == "hub" and common.introspectors:
        report.error((*at, "introspectors"), "a token of a hub says nothing to introspect")
    return TokenSettings(
        name=name,
        issuer=issuer,
        audience=common.audience,
        scopes=common.scopes or {},
        default=common.default,
        lifetime=common.lifetime,
        introspectors=_introspectors(common.introspectors, at, callers, report),
    )


def _of_upstreams() -> dict[str, str]:
    """The keys of our upstreams, and whose they are."""
    return {
        key: name
        for name in reversed([*plugins.BUILT_IN[plugins.UPSTREAM]])  # the first one counts
        for key in settings_of(plugins.find(plugins.UPSTREAM, name))
    }


def _introspectors(
    names: frozenset[str], at: At, callers: Callers, report: Report
) -> frozenset[str]:
    """The client ids of these clients."""
    found = set()
    for name in sorted(names):
        client = callers.client_named(name)
        if client is not None:
            found.add(client.id)
        elif name in callers.subjects:
            report.error(
                (*at, "introspectors"), f'"{name}" is no client: it vouches for people only'
            )
        elif name not in callers.declared:
            report.error(
                (*at, "introspectors"),
                f'there is no client "{name}"',
                did_you_mean(name, callers.clients),
            )
    return frozenset(found)


def _check_scopes(token: TokenSettings, at: At, report: Report) -> None:
    if surplus := token.default - token.vocabulary:
        report.error(
            (*at, "default"),
            f"has more than scopes has: {surplus}",
            did_you_mean(next(iter(surplus)), token.scopes),
        )
    if token.upstream is not None:
        check_scopes(token.upstream, token.vocabulary, at, report)


def _check_clashes(tokens: Mapping[str, TokenSettings], report: Report) -> None:
    """Whatever a request calls a token must lead to one (RFC 8707 §2)."""
    minted = {token.audience for token in tokens.values() if token.issuer}
    for name, token in tokens.items():
        if token.signs and (aud := getattr(token.upstream, "meant_for", "")) in minted:
            message = f'"{aud}" is the audience of tokens of ours: either would pass for the other'
            report.error(("tokens", name, "aud"), message)
    seen: list[TokenSettings] = []
    for name, token in tokens.items():
        at: At = ("tokens", name, "audience")
        if token.audience != name and token.audience in tokens:
            report.error(at, f"is the name of tokens.{token.audience}")
        for other in seen if token.audience else ():
            if other.audience == token.audience:
                _check_pair(token, other, at, report)
        seen.append(token)


def _check_pair(token: TokenSettings, other: TokenSettings, at: At, report: Report) -> None:
    """Two tokens with one audience: at an issuer's own endpoint, its own is meant."""
    if not token.issuer and not other.issuer:
        report.warn(
            at,
            f"is the audience of tokens.{other.name} too: whoever may have both must ask by name",
        )
    elif token.issuer == other.issuer or "" in (token.issuer, other.issuer):
        report.error(
            at,
            f"is the audience of tokens.{other.name} already",
            "tokens with one audience need issuers of their own",
        )
