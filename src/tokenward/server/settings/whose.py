"""Whose workloads is a rule for? The conditions without which it would be for everybody's."""

import re
from collections.abc import Iterator, Mapping

from tokenward.oauth.presented import NONE
from tokenward.server.config import Report
from tokenward.server.presets import Whose
from tokenward.server.presets.github_actions import ISSUER, GithubActions
from tokenward.server.settings.callers import Callers
from tokenward.server.values import At


def check_claims(
    claims: Mapping[str, object], caller: str, client: str, at: At, callers: Callers, report: Report
) -> None:
    """An issuer vouches for everybody it knows, and some know everybody."""
    proof = callers.subjects[caller].proof
    whose = _whose(proof)
    if whose is not None:
        at = (*at, "claims")
        faults = [*_mistaken(whose, claims)]
        for name, message, hint in faults:
            report.error((*at, name), message, hint)
        if not faults and not any(_says(whose.said_by, it, claims[it]) for it in claims):
            report.error(at, f"{whose.missing}{_seeming(whose, claims)}", whose.example)
    elif not claims and not (getattr(proof, "listed", False) or getattr(proof, "at_a_hub", False)):
        asking = callers.clients.get(client)
        if asking is None or NONE in asking.registered.proof.methods:
            report.warn(
                at,
                "is for anybody whom this issuer vouches for, whatever else it says of them",
                'to say for whom: claims = { permissions = "…" }',
            )


def _whose(proof: object) -> Whose | None:
    """What the platform asks of rules: also GitHub without its preset, as it is nothing else."""
    preset = getattr(proof, "preset", None)
    if preset is not None:
        found: Whose = preset.whose
        return found
    issuer = str(getattr(proof, "issuer", ""))
    return GithubActions.whose if f"{issuer}/".startswith(f"{ISSUER}/") else None


def _mistaken(whose: Whose, claims: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Conditions that can never hold, or that must not."""
    for name, wanted in claims.items():
        for one in _each(wanted):
            if name in whose.texts and not isinstance(one, str):
                written = str(one).lower() if isinstance(one, bool) else str(one)
                yield name, "is a text in its tokens, so this would never hold", f'"{written}"'
                break
            pattern, why = whose.never.get(name, ("", ""))
            if why and isinstance(one, str) and re.fullmatch(pattern, one):
                yield name, why, ""
                break


def _says(said_by: Mapping[str, str], name: str, wanted: object) -> bool:
    """Whether a condition, or every one of a list, says whose."""
    pattern = said_by.get(name) or said_by.get(f"{name.rpartition('.')[0]}.")
    return pattern is not None and all(
        isinstance(one, str | int)
        and not isinstance(one, bool)
        and re.fullmatch(pattern, str(one)) is not None
        for one in _each(wanted)
    )


def _seeming(whose: Whose, claims: Mapping[str, object]) -> str:
    """Why what the rule says is not enough, if it seems to be; the most likely mistake first."""
    for name in claims:
        if name in whose.said_by or f"{name.rpartition('.')[0]}." in whose.said_by:
            return f", and {name} as it stands here is anybody's"
    for name in claims:
        if why := whose.unsaid_by.get(name) or whose.unsaid_by.get(f"{name.rpartition('.')[0]}."):
            return f", and {name} {why}"
    return ""


def _each(wanted: object) -> tuple[object, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)
