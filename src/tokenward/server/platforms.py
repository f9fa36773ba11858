"""What differs from platform to platform: ``preset = "okta"`` in ``[tokens.<name>]``.

A preset is a frozen dataclass whose fields are its settings, and which writes out the table that is
meant. Whatever the table says itself counts more. To add one, write it here and name it in
``PLATFORMS``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from tokenward.jose.algorithms import ALGORITHMS
from tokenward.jose.jws import load_object
from tokenward.server.values import Filled

# RFC 3986 §3.2.2: a registered name, here of letters, digits, dots and hyphens, and perhaps a port.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")

Table = Mapping[str, object]


class Platform(Protocol):
    """One platform, as its settings say where."""

    believed: ClassVar[frozenset[str]]
    """The algorithms of tokens that it believes, if it believes other issuers at all."""

    def table(self, said: Table) -> dict[str, object]:
        """What is meant besides what the table says; raises ``ValueError`` for what cannot be."""
        ...


def _host(name: str, value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(f"{name}: must be a host alone, such as example.okta.com")
    return value


def _segment(name: str, value: str) -> str:
    if not _SEGMENT.fullmatch(value):
        raise ValueError(f"{name}: must be an id of letters, digits, dots and hyphens")
    return value


def _defaults(scopes: object) -> bool:
    """Whether all scopes are of the kind that Entra gives to programs."""
    names = scopes.split() if isinstance(scopes, str) else scopes
    return (
        isinstance(names, list | dict)
        and bool(names)
        and all(isinstance(one, str) and one.endswith("/.default") for one in names)
    )


def _connects(said: Table) -> bool:
    """Whether people connect accounts of theirs there."""
    return said.get("upstream") == "connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Okta:
    """``preset = "okta"``: what is signed is for the token endpoint, not for the issuer."""

    domain: str
    """The host of the organisation, such as `example.okta.com`."""

    server: str = ""
    """The id of a custom authorization server, such as `default`; the organisation's own unless
    said, which gives tokens for Okta's API and takes `private_key` alone."""

    believed: ClassVar[frozenset[str]] = ALGORITHMS

    def table(self, said: Table) -> dict[str, object]:
        path = f"oauth2/{_segment('server', self.server)}" if self.server else "oauth2"
        if not self.server and "client_secret" in said and not _connects(said):
            raise ValueError(
                "client_secret: the organisation's own server takes private_key alone; "
                "a custom one is named by server"
            )
        there = f"https://{_host('domain', self.domain)}"
        meant: dict[str, object] = {"token_endpoint": f"{there}/{path}/v1/token"}
        if _connects(said):
            meant |= {
                "title": "Okta",
                "authorization_endpoint": f"{there}/{path}/v1/authorize",
                "authorization_issuer": f"{there}/{path}" if self.server else there,
                "revocation_endpoint": f"{there}/{path}/v1/revoke",
                "offline_scope": "offline_access",
            }
        return meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Entra:
    """``preset = "entra"``: keys are known by certificates, and on-behalf-of is ``jwt_bearer``."""

    tenant: str
    """The id of the tenant, or one of its domains."""

    believed: ClassVar[frozenset[str]] = frozenset({"RS256", "PS256"})

    def table(self, said: Table) -> dict[str, object]:
        tenant = _segment("tenant", self.tenant)
        if said.get("upstream") == "token_exchange":
            raise ValueError('upstream: Entra has no token exchange, but upstream = "jwt_bearer"')
        upstream = said.get("upstream", "client_credentials")
        if "private_key" in said and "certificate" not in said:
            raise ValueError("certificate: is missing: Entra knows a key by its certificate")
        if upstream == "client_credentials" and not _defaults(said.get("scopes")):
            raise ValueError(
                "scopes: must be the one of an API that ends in /.default, such as "
                "https://graph.microsoft.com/.default"
            )
        there = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0"
        meant: dict[str, object] = {"token_endpoint": f"{there}/token"}
        if upstream == "connection":
            meant |= {
                "title": "Microsoft",
                "authorization_endpoint": f"{there}/authorize",
                "offline_scope": "offline_access",
            }
        if "client_secret" in said:
            meant["auth"] = "client_secret_post"
        if "private_key" in said:
            meant["algorithm"] = "PS256"
        if said.get("assertion") == "self":
            meant["aud"] = "api://AzureADTokenExchange"
        if upstream == "jwt_bearer":
            meant |= {"subject": "shown", "parameters": {"requested_token_use": "on_behalf_of"}}
        return meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth0:
    """``preset = "auth0"``: the slash at the end of its name counts."""

    domain: str
    """The host of the tenant, or its own, such as `example.eu.auth0.com`."""

    believed: ClassVar[frozenset[str]] = ALGORITHMS

    def table(self, said: Table) -> dict[str, object]:
        if "audience" not in said:
            raise ValueError("audience: is missing: Auth0 gives a token for one API")
        meant: dict[str, object] = {"issuer": f"https://{_host('domain', self.domain)}/"}
        if _connects(said):
            meant["offline_scope"] = "offline_access"
        if "client_secret" in said:
            meant["auth"] = "client_secret_post"
        return meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Google:
    """``preset = "google"``: with a service account's key, or believing an issuer of ours."""

    service_account: str = field(default="", repr=False)
    """The JSON file of a service account's key, as `"${NAME}"`; without it, the provider of a
    workload identity pool (`audience`) believes an issuer of ours."""

    believed: ClassVar[frozenset[str]] = frozenset({"RS256", "ES256"})

    def table(self, said: Table) -> dict[str, object]:
        if _connects(said):
            return self._people()
        if not self.service_account:
            return self._federated(said)
        try:
            key = load_object(self.service_account.encode())
        except ValueError:
            raise ValueError("service_account: is not the JSON of a key") from None
        found = {name: key.get(name) for name in ("client_email", "private_key", "private_key_id")}
        if key.get("type") != "service_account" or not all(
            isinstance(value, str) and value for value in found.values()
        ):
            raise ValueError("service_account: is not the JSON of a service account's key")
        return {
            "upstream": "jwt_bearer",
            "token_endpoint": "https://oauth2.googleapis.com/token",
            "private_key": Filled(found["private_key"]),
            "kid": found["private_key_id"],
            "iss": found["client_email"],
            "scope_in": "claim",
        }

    def _people(self) -> dict[str, object]:
        if self.service_account:
            raise ValueError("service_account: is nobody's account that they could connect")
        return {
            "title": "Google",
            "token_endpoint": "https://oauth2.googleapis.com/token",
            "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
            "authorization_issuer": "https://accounts.google.com",
            # Without both, whoever agrees a second time gives nothing that lasts.
            "authorization_parameters": {"access_type": "offline", "prompt": "consent"},
            "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
        }

    def _federated(self, said: Table) -> dict[str, object]:
        provider = said.get("audience")
        if not isinstance(provider, str) or not provider.startswith("//iam.googleapis.com/"):
            raise ValueError(
                "audience: must be the full name of a workload identity provider, "
                "//iam.googleapis.com/projects/…, or service_account = … be given"
            )
        return {
            "upstream": "token_exchange",
            "token_endpoint": "https://sts.googleapis.com/v1/token",
            "subject": "ours",
            "assertion": "self",
            "subject_token_type": "jwt",
            "aud": f"https:{provider}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ITwin:
    """``preset = "itwin"``: the iTwin Platform."""

    believed: ClassVar[frozenset[str]] = ALGORITHMS

    def table(self, said: Table) -> dict[str, object]:
        meant: dict[str, object] = {
            "issuer": "https://ims.bentley.com",
            "scopes": {"itwin-platform": "The iTwin Platform"},
        }
        if _connects(said):
            meant |= {"title": "Bentley", "offline_scope": "offline_access"}
        return meant


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub:
    """``preset = "github"``: accounts that people connect; installations are ``github_app``."""

    believed: ClassVar[frozenset[str]] = frozenset({"RS256"})

    def table(self, said: Table) -> dict[str, object]:
        if not _connects(said):
            raise ValueError(
                'upstream: must be "connection", for accounts that people connect; tokens of '
                'installations have upstream = "github_app", and no preset'
            )
        return {
            "title": "GitHub",
            "token_endpoint": "https://github.com/login/oauth/access_token",
            "authorization_endpoint": "https://github.com/login/oauth/authorize",
            "auth": "client_secret_post",
            # It answers with its own names for the scopes, and commas between them.
            "scope_check": "off",
        }


PLATFORMS: Mapping[str, type[Platform]] = {
    "auth0": Auth0,
    "entra": Entra,
    "github": GitHub,
    "google": Google,
    "itwin": ITwin,
    "okta": Okta,
}
