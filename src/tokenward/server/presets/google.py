"""Google Cloud: the identity token of a service account, from the metadata server or ``gcloud``.

The same issuer and keys vouch for everybody who has a Google account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.presets import Whose, untold

ACCOUNTS = ".gserviceaccount.com"

_MACHINE = "google.compute_engine"
_NAMED = "is a name that every project can use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Google:
    """``preset = "google"``."""

    issuer: ClassVar[str] = "https://accounts.google.com"
    jwks_uri: ClassVar[str] = "https://www.googleapis.com/oauth2/v3/certs"
    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256"})
    typ: ClassVar[frozenset[str]] = frozenset({"jwt"})

    whose: ClassVar[Whose] = Whose(
        missing="must say which service account: Google vouches for everybody's",
        example='claims = { email = "orders@acme-shop.iam.gserviceaccount.com" }',
        said_by={
            # One account, or all that a project has made: those of Google's own are of all projects
            "email": r"[^*@]+@[^*@]+\.gserviceaccount\.com"
            r"|[^@]+@(?!gcp-sa-)[^*@]+\.iam\.gserviceaccount\.com",
            "sub": r"[0-9]+",
            "azp": r"[0-9]+",
            f"{_MACHINE}.project_id": r"[^*]+",
            f"{_MACHINE}.project_number": r"[0-9]+",
            f"{_MACHINE}.instance_id": r"[^*]+",
        },
        unsaid_by={
            "email_verified": "is so of all of them",
            "hd": "is of people, who are not believed here",
            f"{_MACHINE}.instance_name": _NAMED,
            f"{_MACHINE}.zone": "says where it runs, and everybody's machines run there",
        },
        texts=frozenset({"sub", "azp", f"{_MACHINE}.instance_id"}),
    )

    def fault(self, claims: Mapping[str, object]) -> str:
        """A person's, or an address that nobody has verified."""
        if fault := untold(claims, "sub", "azp"):
            return fault
        if "hd" in claims or "at_hash" in claims:
            return "sub: a person, who has signed in"
        if "email" not in claims:  # the metadata server leaves it out unless format=full
            return ""
        if not str(claims["email"]).endswith(ACCOUNTS):
            return "email: no service account's"
        return "" if claims.get("email_verified") is True else "email_verified: not true"
