"""Who are we? ``[issuers.<name>]``: each is an authorization server of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal
from urllib.parse import urlsplit

from tokenward.remote.discovery import is_loopback
from tokenward.server import plugins
from tokenward.server.config import Report, fill, settings_of, spelled
from tokenward.server.profiles import Profile
from tokenward.server.routing import plain
from tokenward.server.settings.names import check_name, plugin, read_table
from tokenward.server.settings.signers import read_signer
from tokenward.server.signers import Signer
from tokenward.server.values import REPORTED, At, Within, did_you_mean, tables

MAIN = "main"


def rotation(value: object) -> float:
    """A period of an hour to ten years, or ``never``."""
    return inf if value == "never" else Within("1h", "3650d")(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerTable:
    """``[issuers.<name>]``"""

    url: str
    """The exact `iss` of its tokens; its endpoints live under it. A slash at the end counts."""

    profile: str = "rfc9068"
    """How its tokens and endpoints look: `rfc9068`, `ims`, `okta`, `hub`, or `module:Class`."""

    algorithm: Literal["ES256", "RS256", "PS256", "EdDSA"] | None = None
    """What it signs with; the profile's own unless said: ES256 for `rfc9068`, Ed25519
    for `hub`, else RS256."""

    rotate_every: Annotated[float, rotation] = 7_776_000.0
    """For how long one key signs, such as `30d`, before the next one does; or `never`. The key of
    a `hub` is its name, and never changes by itself."""

    keys: Annotated[Mapping[str, object], tables] | None = None
    """Who holds its private keys? In the store, sealed, unless said."""

    client_secret_jwt: bool = False
    """Whether clients may sign with a secret that this server has to know in the clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One issuer of ours."""

    name: str
    url: str
    profile: Profile
    algorithm: str
    client_secret_jwt: bool = False
    rotate_every: float = inf
    signer: Signer | None = None
    """Who holds its private keys; ``None``: we do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuers:
    """All of them, as far as they could be read."""

    declared: frozenset[str]
    read: Mapping[str, IssuerSettings]
    profiles: Mapping[str, str]
    """The name of each one's profile."""


def read_issuers(tables: Mapping[str, object], short: str, report: Report) -> Issuers:
    """Read all issuers; ``short`` is the top-level ``issuer``, which stands for ``main``."""
    at: At = ("issuers",)
    if short and MAIN in tables:
        report.error(
            ("issuer",),
            "is short for [issuers.main], and there is [issuers.main] besides",
            "say it once",
        )
    elif short and tables:
        tables = {MAIN: {"url": short}, **tables}
    if short and not tables:
        at, tables = (), {"issuer": {"url": short}}
    read: dict[str, IssuerSettings] = {}
    profiles: dict[str, str] = {}
    for key, value in tables.items():
        name = key if at else MAIN
        check_name(name, (*at, key), report)
        issuer = _read(name, value, (*at, key), report, profiles)
        if issuer is not None:
            read[name] = issuer
    _check_urls(read, report, short=not at)
    return Issuers(declared=frozenset(tables if at else {MAIN}), read=read, profiles=profiles)


def _read(
    name: str, value: object, at: At, report: Report, profiles: dict[str, str]
) -> IssuerSettings | None:
    table = read_table(value, at, report)
    if table is None:
        return None
    cls = plugin(plugins.PROFILE, {"profile": "rfc9068", **table}, at, report)
    if cls is None:
        spelled_out = spelled(table, at, report, IssuerTable)
        fill(IssuerTable, {**spelled_out, "profile": REPORTED}, at, report)
        return None
    table = spelled(table, at, report, IssuerTable, cls)
    common = fill(IssuerTable, table, at, report)
    profile: Profile | None = fill(cls, table, at, report) if settings_of(cls) else cls()
    if common is None or profile is None:
        return None
    profiles[name] = common.profile
    algorithm = common.algorithm or profile.algorithm
    rotates = getattr(profile, "rotates", True)
    if not rotates:
        _mind_its_key(table, algorithm, profile, at, report)
    if common.profile in ("ims", "okta") and algorithm != profile.algorithm:
        report.warn(
            (*at, "algorithm"),
            f"clients of {common.profile} issuers know {profile.algorithm} only",
        )
    return IssuerSettings(
        name=name,
        url=common.url,
        profile=profile,
        algorithm=algorithm,
        client_secret_jwt=common.client_secret_jwt,
        rotate_every=common.rotate_every if rotates else inf,
        signer=read_signer(common.keys, algorithm, at, report),
    )


def _mind_its_key(
    table: Mapping[str, object], algorithm: str, profile: Profile, at: At, report: Report
) -> None:
    """Where the key is the issuer, there is one, of one kind, until the operator says otherwise."""
    if algorithm != profile.algorithm:
        report.error((*at, "algorithm"), f"is {profile.algorithm} at an issuer that is its key")
    if table.get("rotate_every", "never") != "never":
        report.error(
            (*at, "rotate_every"),
            "is never at an issuer that is its key: whoever trusts it would not know the next one",
            "leave it out",
        )
    if not getattr(profile, "expire", True):
        report.warn(
            (*at, "expire"),
            "its tokens never end, and nobody can take one back",
            "leave it out, and give its tokens the lifetime they need",
        )


def minting(said: str, at: At, issuers: Issuers, report: Report) -> str:
    """The name of the issuer that mints a token whose table is at ``at``."""
    if not issuers.declared:
        report.error(
            at,
            "is a token of ours, but nothing says who we are",
            'at the top of the file: issuer = "https://tokens.example.com"; '
            "or upstream = … to fetch it from somebody else",
        )
    elif said and said not in issuers.declared:
        report.error((*at, "from"), "there is no such issuer", did_you_mean(said, issuers.declared))
    elif said:
        return said
    elif MAIN in issuers.declared:
        return MAIN
    elif len(issuers.declared) == 1:
        return next(iter(issuers.declared))
    else:
        report.error(
            (*at, "from"),
            "is missing: there are several issuers, and none is called main",
            did_you_mean("", issuers.declared),
        )
    return ""


def _check_urls(issuers: Mapping[str, IssuerSettings], report: Report, *, short: bool) -> None:
    owners: dict[str, str] = {}
    for name, issuer in issuers.items():
        at: At = ("issuer",) if short else ("issuers", name, "url")
        if fault := _fault(issuer.url):
            report.error(at, fault, 'a URL such as "https://tokens.example.com"')
        elif issuer.url in owners:
            report.error(at, f"is the URL of issuers.{owners[issuer.url]} already")
        else:
            owners[issuer.url] = name
            parts = urlsplit(issuer.url)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                report.warn(
                    at,
                    "is plain http: whoever is on the way can read tokens and replace keys",
                    "use https (RFC 8414 §2)",
                )


def _fault(url: str) -> str:
    """What is wrong with an issuer's URL (RFC 8414 §2: no query and no fragment)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "must be an absolute URL that begins with https:// (or http://)"
    if not url.startswith(f"{parts.scheme}://") or not url.isascii() or not url.isprintable():
        return "must be written in ASCII, its scheme in lower case"
    faults = {
        "must have neither query nor fragment": "?" in url or "#" in url,
        "must have neither a user nor characters that belong in no URL": "@" in parts.netloc
        or any(one in url for one in ' \\"<>^`{|}'),
        "must have a path without escapes, empty segments and dots": bool(parts.path)
        and not plain(parts.path, None),
    }
    return next((fault for fault, found in faults.items() if found), "")
