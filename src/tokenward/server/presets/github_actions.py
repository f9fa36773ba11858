"""GitHub Actions: the token of a workflow that has ``permissions: id-token: write``.

One issuer for everybody's repositories, so that whoever asks only for the issuer trusts them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.presets import Whose, untold

ISSUER = "https://token.actions.githubusercontent.com"

STRANGERS = "pull_request_target"
"""The event that runs a workflow with the repository's rights for anybody's pull request."""

_BY_WHOM = "says who started it, not whose repository it is"
_CALLED = "says which workflow runs, and everybody may call a workflow that they can read"
_NAMED = "is a name that every repository can use"


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubActions:
    """``preset = "github_actions"``."""

    issuer: str = ISSUER
    """Another one for GitHub Enterprise: `https://HOST/_services/token` of a server of your own,
    or what your enterprise has made of it."""

    jwks_uri: ClassVar[str] = ""
    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256"})
    typ: ClassVar[frozenset[str]] = frozenset({"jwt"})

    whose: ClassVar[Whose] = Whose(
        missing="must say whose repository: GitHub vouches for everybody's workflows",
        example='claims = { repository_owner_id = "4711", repository = "acme/app" }',
        said_by={
            "repository_owner": r"[^*]+",
            "repository_owner_id": r"[^*]+",
            "repository_id": r"[^*]+",
            "repository": r"[^*/]+/.+",
            "enterprise": r"[^*]+",
            "enterprise_id": r"[^*]+",
            # repo:OWNER/NAME:…, or repo:OWNER@ID/NAME@ID:… since July 2026, or as customized
            "sub": r"repo(sitory)?:[^*:/@]+(@(\*|[^*:/@]+))?/.+"
            r"|repository_(id|owner|owner_id):[^*:]+(:.*)?",
        },
        unsaid_by={
            "environment": _NAMED,
            "workflow": _NAMED,
            "ref": _NAMED,
            "job_workflow_ref": _CALLED,
            "job_workflow_sha": _CALLED,
            "workflow_ref": _CALLED,
            "workflow_sha": _CALLED,
            "actor": _BY_WHOM,
            "actor_id": _BY_WHOM,
        },
        never={
            "event_name": (
                STRANGERS,
                f"would never hold: {STRANGERS} runs for anybody's pull request, so not believed",
            ),
            "job_workflow_ref": (
                r"[^@]*\*\*[^@]*|[^@]*@.*\*\*.*",
                "would do with a workflow as a pull request has it: ** fits @refs/pull/…",
            ),
        },
        texts=frozenset(
            {"repository_id", "repository_owner_id", "actor_id", "enterprise_id", "run_id"}
            | {"run_number", "run_attempt", "check_run_id"}
        ),
    )

    def fault(self, claims: Mapping[str, object]) -> str:
        """No job's, or one that a stranger's pull request has started."""
        names = ("repository", "repository_id", "repository_owner", "repository_owner_id")
        if fault := untold(claims, *names, "event_name"):
            return fault
        if not str(claims["repository"]).startswith(f"{claims['repository_owner']}/"):
            return "repository: not of the repository_owner"
        if claims["event_name"] == STRANGERS:
            return f"event_name: {STRANGERS}, which runs for anybody's pull request"
        return ""
