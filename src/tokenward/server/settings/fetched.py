"""Where is it fetched? The ``upstream`` of a token that is somebody else's, and its ``preset``."""

from collections.abc import Mapping
from typing import TypeVar

from tokenward.oauth.scope import Scope
from tokenward.server import plugins
from tokenward.server.config import Report, fill, settings_of, spelled
from tokenward.server.platforms import PLATFORMS
from tokenward.server.settings.issuers import MAIN, Issuers
from tokenward.server.settings.names import plugin
from tokenward.server.upstreams import Upstream, passes, signs_as
from tokenward.server.values import REPORTED, At, did_you_mean

T = TypeVar("T")

OURS_ONLY = {
    "from": "a fetched token is made by its own issuer",
    "lifetime": "a fetched token lives as long as its issuer says",
    "introspectors": "only its own issuer can introspect a fetched token",
}


def read_fetched(
    written: Mapping[str, object], at: At, report: Report, common: type[T]
) -> tuple[T, Upstream] | None:
    """What all tokens have in common, and this one's upstream; or why not has been reported."""
    meant = _written_out(written, at, report)
    cls = None if meant is None else plugin(plugins.UPSTREAM, meant, at, report)
    if meant is None or cls is None:
        return None
    for key, reason in OURS_ONLY.items():
        if key in meant and key not in settings_of(cls):
            report.error((*at, key), "is for tokens of ours", reason)
    table = spelled(meant, at, report, common, cls)
    told = fill(common, table, at, report)
    upstream: Upstream | None = fill(cls, table, at, report)
    if caution := getattr(cls, "caution", ""):
        report.warn((*at, "upstream"), caution)
    return None if told is None or upstream is None else (told, upstream)


def check_scopes(upstream: Upstream, scopes: Scope, at: At, report: Report) -> None:
    """Report scopes that this upstream has no tokens for."""
    check = getattr(upstream, "check_scopes", None)
    if check is None:
        return
    try:
        check(scopes)
    except ValueError as exc:
        report.error((*at, "scopes"), str(exc))


def signs_for(upstream: Upstream, preset: str, at: At, issuers: Issuers, report: Report) -> str:
    """The issuer of ours that signs what goes there, ``""`` if none does; mistakes are reported."""
    if passes(upstream) and not issuers.declared:
        report.error(
            (*at, "signature"),
            "callers sign for this one, and need an issuer of ours to ask what",
            'at the top of the file: issuer = "https://tokens.example.com"',
        )
    said = signs_as(upstream)
    if said is None:
        return ""
    declared, name = issuers.declared, said
    if not said:
        name = MAIN if MAIN in declared or len(declared) != 1 else next(iter(declared))
    if name not in declared:
        report.error(
            (*at, "assertion_issuer" if said else "assertion"),
            f'there is no issuer "{name}" to sign',
            did_you_mean(name, declared) or 'at the top: issuer = "https://tokens.example.com"',
        )
    elif (issuer := issuers.read.get(name)) is not None:
        if issuer.signer is not None:
            report.error(
                (*at, "assertion"),
                f"the keys of issuers.{name} sign in a module, which is not asked for this",
                "assertion_issuer = one whose keys are in the store, or private_key = …",
            )
        believed = PLATFORMS[preset].believed if preset in PLATFORMS else {issuer.algorithm}
        if issuer.algorithm not in believed:
            report.error(
                (*at, "assertion"),
                f"{preset} does not believe {issuer.algorithm}, with which issuers.{name} signs",
                f"[issuers.{name}] algorithm = one of: {', '.join(sorted(believed))}",
            )
        return name
    return ""


def _written_out(
    table: Mapping[str, object], at: At, report: Report
) -> Mapping[str, object] | None:
    """The table with all that its preset says; whatever it says itself counts more."""
    if "preset" not in table:
        return table
    name = table["preset"]
    cls = PLATFORMS.get(name) if isinstance(name, str) else None
    if cls is None:
        if name is not REPORTED:
            hint = did_you_mean(str(name), PLATFORMS)
            report.error((*at, "preset"), "there is no such preset", hint)
        return None
    preset = fill(cls, table, at, report)
    if preset is None:
        return None
    try:
        meant = preset.table(table)
    except ValueError as exc:
        place, _, fault = str(exc).partition(": ")
        report.error((*at, place), fault)
        return None
    if isinstance(key := meant.get("private_key"), str):
        report.hidden[key] = "…"
    own = settings_of(cls)
    said = {key: value for key, value in table.items() if key not in own}
    for name in ("parameters", "authorization_parameters"):
        theirs, more = meant.get(name), said.get(name)
        if isinstance(theirs, dict) and isinstance(more, dict):
            said[name] = {**theirs, **more}
    return {"upstream": "client_credentials", **meant, **said}
