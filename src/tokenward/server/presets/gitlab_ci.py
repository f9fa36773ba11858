"""GitLab CI: the token of a job that has ``id_tokens``.

The same issuer and keys vouch for people who sign in with GitLab, whose tokens are none of a job's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.presets import Whose, untold

_BY_WHOM = "says who started the job, not whose project it is"
_NAMED = "is a name that every project can use"
_FORKS = "is also that of jobs for a merge request from anybody's fork"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitlabCi:
    """``preset = "gitlab_ci"``."""

    issuer: str = "https://gitlab.com"
    """The URL of your GitLab, exactly as its tokens have it."""

    jwks_uri: ClassVar[str] = ""
    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256"})
    typ: ClassVar[frozenset[str]] = frozenset({"jwt"})

    whose: ClassVar[Whose] = Whose(
        missing="must say whose project: GitLab vouches for everybody's jobs",
        example='claims = { project_id = "20", ref_protected = "true" }',
        said_by={
            "project_id": r"[^*]+",
            "namespace_id": r"[^*]+",
            "project_path": r"[^*/]+/.+",
            "namespace_path": r"[^*/]+(/.*)?",
            "sub": r"project_path:[^*:/]+/.+|project_id:[^*:]+(:.*)?",
        },
        unsaid_by={
            "job_project_id": _FORKS,
            "job_project_path": _FORKS,
            "job_namespace_id": _FORKS,
            "job_namespace_path": _FORKS,
            "environment": _NAMED,
            "ref": _NAMED,
            "ref_path": _NAMED,
            "ci_config_ref_uri": "says where the job is written, and every project may include it",
            "groups_direct": _BY_WHOM,
            "user_id": _BY_WHOM,
            "user_login": _BY_WHOM,
            "user_email": _BY_WHOM,
        },
        texts=frozenset(
            {"project_id", "namespace_id", "user_id", "pipeline_id", "job_id", "ref_protected"}
            | {"environment_protected", "job_project_id", "job_namespace_id"}
        ),
    )

    def fault(self, claims: Mapping[str, object]) -> str:
        """A person's who has signed in with GitLab, for instance."""
        names = ("project_id", "project_path", "namespace_id", "namespace_path")
        if fault := untold(claims, *names, "job_id", "pipeline_source", "ref_protected"):
            return fault
        if not str(claims["project_path"]).startswith(f"{claims['namespace_path']}/"):
            return "project_path: not in the namespace_path"
        return ""
