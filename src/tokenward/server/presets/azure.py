"""Azure: the access token of a managed identity, from the metadata service, for our audience.

The issuer is a tenant of Microsoft Entra, which vouches for its people and applications, too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tokenward.server.presets import Whose, untold

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOGIN = "https://login.microsoftonline.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Azure:
    """``preset = "azure"``."""

    tenant: str
    """The tenant's id, in lower case; never `common`."""

    version: Literal["1.0", "2.0"] = "1.0"
    """The `ver` of its tokens: `2.0` if the application whose audience you are says
    `requestedAccessTokenVersion` 2."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256"})
    typ: ClassVar[frozenset[str]] = frozenset({"jwt"})

    whose: ClassVar[Whose] = Whose(
        missing="must say which identity: the tenant vouches for every application in it",
        example='claims = { oid = "00000000-1111-2222-3333-444444444444" }',
        said_by={
            "oid": r"[^*]+",
            "sub": r"[^*]+",
            "appid": r"[^*]+",
            "azp": r"[^*]+",
            "roles": r"[^*]+",
            "xms_mirid": r"/subscriptions/[^*/]+/.+",
        },
        unsaid_by={
            "tid": "is the same of the whole tenant",
            "iss": "is the same of the whole tenant",
            "idtyp": "is the same of all applications",
            "appidacr": "says how it has shown who it is, not who it is",
            "azpacr": "says how it has shown who it is, not who it is",
        },
        texts=frozenset({"appidacr", "azpacr", "ver"}),
    )

    def __post_init__(self) -> None:
        if not _GUID.fullmatch(self.tenant):
            raise ValueError(
                "tenant: must be the id of one tenant, 36 characters in lower case; "
                '"common" and the like are everybody'
            )

    @property
    def issuer(self) -> str:
        """The tenant, as its tokens of this version have it."""
        if self.version == "1.0":
            return f"https://sts.windows.net/{self.tenant}/"
        return f"{_LOGIN}/{self.tenant}/v2.0"

    @property
    def jwks_uri(self) -> str:
        """Where the metadata would say; of version 1.0 they are on another host."""
        part = "discovery/keys" if self.version == "1.0" else "discovery/v2.0/keys"
        return f"{_LOGIN}/{self.tenant}/{part}"

    def fault(self, claims: Mapping[str, object]) -> str:
        """A person's, or one of another tenant."""
        if fault := untold(claims, "oid", "sub", "tid"):
            return fault
        if claims["tid"] != self.tenant:
            return "tid: another tenant"
        if claims.get("ver") != self.version:
            return f"ver: not {self.version}"
        if "scp" in claims or claims.get("idtyp", "app") != "app":
            return "scp: a person's"
        if "idtyp" not in claims and claims["oid"] != claims["sub"]:
            return "sub: not the oid, so a person's"
        return ""
