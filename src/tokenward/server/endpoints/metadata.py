"""What this issuer can do and where: RFC 8414 and OpenID Connect Discovery 1.0, one document.

Nothing here is null, and every URL begins with the issuer's own: never with what a Host header
said.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from tokenward.server.endpoints import PUBLIC
from tokenward.server.endpoints.jwks import cacheable, unless_known
from tokenward.server.http import Answer, Received
from tokenward.server.profiles import (
    AUTHORIZATION,
    CHALLENGE_PATH,
    INTROSPECTION,
    JWKS,
    REVOCATION,
    TOKEN,
    Profile,
)

ENDPOINTS = {
    AUTHORIZATION: "authorization_endpoint",
    TOKEN: "token_endpoint",
    JWKS: "jwks_uri",
    INTROSPECTION: "introspection_endpoint",
    REVOCATION: "revocation_endpoint",
}
KEY_CHALLENGE = "key_challenge_endpoint"
OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataEndpoint:
    """The document, rendered once."""

    document: dict[str, object]
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = PUBLIC
    whole: Answer = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "whole", cacheable(self.document))

    async def answer(self, received: Received) -> Answer:
        """The whole document, or 304 to those who have it."""
        return unless_known(self.whole, received)


def document(
    *,
    url: str,
    profile: Profile,
    algorithm: str,
    scopes: Iterable[str],
    grant_types: Iterable[str],
    client_methods: Iterable[str],
    signing: Iterable[str] = (),
    certificate_bound: bool = False,
    keys: Iterable[str] = (),
) -> dict[str, object]:
    """The metadata of one issuer (RFC 8414 §2)."""
    here = url.removesuffix("/")
    methods = sorted(client_methods)
    signs = sorted(signing)
    secret = [method for method in methods if method != "none"]
    asked = sorted(keys)
    said: dict[str, object] = {
        "issuer": url,
        **{
            name: here + profile.paths[role]
            for role, name in ENDPOINTS.items()
            if role in profile.paths
        },
        "scopes_supported": sorted(scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": sorted(grant_types),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signs,
        "introspection_endpoint_auth_methods_supported": secret,
        "introspection_endpoint_auth_signing_alg_values_supported": signs,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signs,
        "code_challenge_methods_supported": ["S256"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        **({"tls_client_certificate_bound_access_tokens": True} if certificate_bound else {}),
        **({KEY_CHALLENGE: here + CHALLENGE_PATH} if asked else {}),
        "key_challenge_signing_alg_values_supported": asked,
    }
    absent = tuple(
        name.removesuffix("endpoint")
        for role, name in ENDPOINTS.items()
        if role not in profile.paths
    )
    return {
        name: value
        for name, value in said.items()
        if value != [] and not (absent and name.startswith(absent))
    }


def well_known(path: str) -> list[str]:
    """Where the document of an issuer with this path is found.

    Appended as OpenID Connect Discovery §4 has it, inserted as RFC 8414 §3 has it; some clients
    know the one for the other's document, so both are served for both.
    """
    path = path.removesuffix("/")
    return sorted({path + OPENID, path + OAUTH, OPENID + path, OAUTH + path})
