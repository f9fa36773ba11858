"""``[callers.<name>]`` of somebody who vouches for others: an issuer whose people we believe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from tokenward.remote.discovery import check_url
from tokenward.server.config import Report, fill
from tokenward.server.limits import Rate
from tokenward.server.settings.origins import browser_origins
from tokenward.server.settings.presets import written_out
from tokenward.server.settings.rates import rate
from tokenward.server.values import At


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTable:
    """``[callers.<name>]`` of an issuer whose people we believe."""

    proof: str
    """How its people show who they are: `jwt`, `introspection`, `api_key`,
    `certificate`, or `module:Class`."""

    default: str = ""
    """The token meant when a request names none."""

    limit: Annotated[Rate | None, rate] = None
    """How often each of its people may ask, such as `"5/m"`; what `[limits]` says of a `caller`
    unless said."""

    origins: Annotated[frozenset[str], browser_origins] = frozenset()
    """Browser applications that may ask from a page (CORS), such as `https://app.example.com`."""

    client_name: str = ""
    """What its people call the app that asks for them; the table's name unless said."""

    redirect_uris: tuple[str, ...] = ()
    """Where browsers are sent back to when its people have connected an account; exactly these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectSettings:
    """One issuer, or whoever else vouches for people."""

    name: str
    proof: Any
    """Settings with a method ``trusted``, such as ``proofs.jwt.Jwt``."""

    default: str = ""
    origins: frozenset[str] = frozenset()
    limit: Rate | None = None
    client_name: str = ""
    redirect_uris: tuple[str, ...] = ()


def read_subject(
    name: str, table: Mapping[str, object], cls: type, at: At, report: Report
) -> SubjectSettings | None:
    table = written_out(table, at, report, SubjectTable, cls)
    common = fill(SubjectTable, table, at, report)
    proof = fill(cls, table, at, report)
    if common is None or proof is None:
        return None
    return SubjectSettings(
        name=name,
        proof=proof,
        default=common.default,
        origins=common.origins,
        limit=common.limit,
        client_name=common.client_name,
        redirect_uris=common.redirect_uris,
    )


def check_trust(subjects: Mapping[str, SubjectSettings], report: Report) -> None:
    raw = [
        name for name, subject in subjects.items() if getattr(subject.proof, "subject", "") == "raw"
    ]
    for name in raw[1:]:
        report.error(
            ("callers", name, "subject"),
            f"callers.{raw[0]} has raw subjects already: two issuers may know two people by one "
            "name",
            'subject = "qualified"',
        )
    owners: dict[tuple[str, str], str] = {}
    for name, subject in subjects.items():
        at: At = ("callers", name)
        issuer, audience = (getattr(subject.proof, key, "") for key in ("issuer", "audience"))
        if issuer and (issuer, audience) in owners:
            report.error(
                (*at, "issuer"),
                f"callers.{owners[issuer, audience]} trusts it for the same audience already",
            )
        owners.setdefault((issuer, audience), name)
        _check_keys(at, subject.proof, report)
    _check_prefixes(subjects, report)


def _check_keys(at: At, proof: object, report: Report) -> None:
    """The keys must come from somewhere nobody can stand in for."""
    if getattr(proof, "keys", None) is not None or not hasattr(proof, "jwks_uri"):
        return
    key = "jwks_uri" if getattr(proof, "jwks_uri", "") else "issuer"
    if url := getattr(proof, key, ""):
        try:
            check_url(url)
        except ValueError as exc:
            report.error(
                (*at, key),
                f"its keys are fetched from there, so it {exc}",
                "jwks_uri = … or keys = … say where they are, if they are elsewhere",
            )


def _check_prefixes(subjects: Mapping[str, SubjectSettings], report: Report) -> None:
    """Nobody's token may be shown to an issuer that it is not from."""
    asked = {name: it.proof for name, it in subjects.items() if hasattr(it.proof, "token_prefix")}
    for position, (name, proof) in enumerate(asked.items()):
        at: At = ("callers", name, "token_prefix")
        if not proof.token_prefix:
            if len(asked) > 1:
                report.error(
                    at,
                    "is needed where several issuers are asked about tokens: nobody's token may "
                    "be shown to another's issuer",
                    'token_prefix = "…": how all its tokens begin, and nobody else\'s',
                )
            else:
                report.warn(
                    at,
                    "is not said, so every token that names no other issuer is shown to this one",
                    'token_prefix = "…": how all its tokens begin',
                )
            continue
        for other, earlier in list(asked.items())[:position]:
            if earlier.token_prefix and _meet(proof, earlier):
                report.error(
                    at,
                    f"also begins tokens of callers.{other}: they would be shown to both issuers",
                )


def _meet(one: Any, other: Any) -> bool:
    """Whether a token may begin as both say, and they are not the same server."""
    mine, theirs = one.token_prefix, other.token_prefix
    same = (one.issuer, one.introspection_endpoint) == (other.issuer, other.introspection_endpoint)
    return not same and (mine.startswith(theirs) or theirs.startswith(mine))
