"""Which class is meant by a name: ours by name, anybody else's as ``module:Class``.

To add one of ours, write its file and name it in ``BUILT_IN``. Nothing is imported before it is
asked for by name. (Stores are named by URL, in ``stores/__init__.py``.)
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tokenward.server.values import Wrong, did_you_mean

PROOF, UPSTREAM, PROFILE, GRANT = "proof", "upstream", "profile", "grant"
SIGNER, PRESET = "signer", "preset"

_HERE = "tokenward.server"

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    PROOF: {
        "client_secret": f"{_HERE}.proofs.client_secret:ClientSecret",
        "client_secret_jwt": f"{_HERE}.proofs.client_secret_jwt:ClientSecretJwt",
        "private_key_jwt": f"{_HERE}.proofs.private_key_jwt:PrivateKeyJwt",
        "tls_client_auth": f"{_HERE}.proofs.tls_client_auth:TlsClientAuth",
        "self_signed_tls_client_auth": (
            f"{_HERE}.proofs.self_signed_tls_client_auth:SelfSignedTlsClientAuth"
        ),
        "none": f"{_HERE}.proofs.none:NoProof",
        "jwt": f"{_HERE}.proofs.jwt:Jwt",
        "introspection": f"{_HERE}.proofs.introspection:Introspection",
        "api_key": f"{_HERE}.proofs.api_key:ApiKey",
        "certificate": f"{_HERE}.proofs.certificate:Certificate",
        "key": f"{_HERE}.proofs.key:Key",
        "hub_key": f"{_HERE}.proofs.hub_key:HubKey",
    },
    UPSTREAM: {
        "client_credentials": f"{_HERE}.upstreams.client_credentials:ClientCredentials",
        "token_exchange": f"{_HERE}.upstreams.token_exchange:TokenExchange",
        "jwt_bearer": f"{_HERE}.upstreams.jwt_bearer:JwtBearer",
        "github_app": f"{_HERE}.upstreams.github_app:GithubApp",
        "textile_hub": f"{_HERE}.upstreams.textile_hub:TextileHub",
        "textile_userauth": f"{_HERE}.upstreams.textile_userauth:TextileUserauth",
        "static": f"{_HERE}.upstreams.static:Static",
        "refresh_token": f"{_HERE}.upstreams.refresh_token:RefreshToken",
        "connection": f"{_HERE}.upstreams.connection:Connection",
    },
    PROFILE: {
        "rfc9068": f"{_HERE}.profiles.rfc9068:Rfc9068",
        "ims": f"{_HERE}.profiles.ims:Ims",
        "okta": f"{_HERE}.profiles.okta:Okta",
        "hub": f"{_HERE}.profiles.hub:Hub",
    },
    SIGNER: {
        "pkcs11": f"{_HERE}.signers.pkcs11:Pkcs11",
    },
    GRANT: {
        "client_credentials": f"{_HERE}.grants.client_credentials:ClientCredentials",
        "token_exchange": f"{_HERE}.grants.token_exchange:TokenExchange",
        "jwt_bearer": f"{_HERE}.grants.jwt_bearer:JwtBearer",
    },
    PRESET: {
        "github_actions": f"{_HERE}.presets.github_actions:GithubActions",
        "gitlab_ci": f"{_HERE}.presets.gitlab_ci:GitlabCi",
        "kubernetes": f"{_HERE}.presets.kubernetes:Kubernetes",
        "spiffe": f"{_HERE}.presets.spiffe:Spiffe",
        "google": f"{_HERE}.presets.google:Google",
        "azure": f"{_HERE}.presets.azure:Azure",
        "aws": f"{_HERE}.presets.aws:Aws",
    },
}

LATER: Mapping[str, frozenset[str]] = {
    PROOF: frozenset(),
    UPSTREAM: frozenset(),
    PROFILE: frozenset(),
    SIGNER: frozenset(),
    GRANT: frozenset({"authorization_code", "refresh_token", "device_code"}),
    PRESET: frozenset(),
}
"""What other pages of ours speak of, and this version does not have."""

# What a class must have to be of that kind; any one of the alternatives.
_CONTRACTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    PROOF: (("methods", "within", "authenticate"), ("trusted",)),
    UPSTREAM: (("flow", "shared_by"),),
    PROFILE: (("algorithm", "typ", "paths", "claims", "spoken"),),
    GRANT: (("name", "redeem"),),
    SIGNER: (("algorithms", "makes_keys", "make", "sign"),),
    PRESET: (("issuer", "jwks_uri", "algorithms", "typ", "whose", "fault"),),
}

_FOREIGN = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


def find(kind: str, name: str) -> type[Any]:
    """The class; raises ``Wrong`` if there is none, or if it is not of that kind."""
    if name in BUILT_IN[kind]:
        return _load(kind, BUILT_IN[kind][name])
    if _FOREIGN.fullmatch(name):
        return _load(kind, name)
    if name in LATER[kind]:
        raise Wrong(
            f"{name} comes with a later version",
            f"this one has: {', '.join(sorted(BUILT_IN[kind]))}",
        )
    raise Wrong(
        f"there is no such {kind}",
        did_you_mean(name, BUILT_IN[kind]) or 'one that is not ours is written "module:Class"',
    )


def _load(kind: str, place: str) -> type[Any]:
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as exc:
        raise Wrong(f"{place} cannot be imported: {exc}") from None
    if not isinstance(found, type):
        raise Wrong(f"the module {module} has no class {name}")
    contracts = _CONTRACTS[kind]
    if not any(all(hasattr(found, part) for part in contract) for contract in contracts):
        wanted = ", or ".join(" and ".join(contract) for contract in contracts)
        raise Wrong(f"{place} is no {kind}: one has {wanted}")
    return found
