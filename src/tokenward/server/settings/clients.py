"""``[callers.<name>]`` of a client: somebody registered here, who can show who they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from tokenward.clock import now
from tokenward.oauth.messages import CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE
from tokenward.oauth.presented import NONE
from tokenward.oauth.scope import Scope
from tokenward.server import plugins
from tokenward.server.config import Report, fill, spelled
from tokenward.server.hashes import ending
from tokenward.server.limits import Rate
from tokenward.server.model import Client
from tokenward.server.registry import Registered
from tokenward.server.settings.origins import browser_origins
from tokenward.server.settings.rates import rate
from tokenward.server.values import At, Wrong, did_you_mean, texts

GRANT_TYPES: Mapping[str, str] = {
    "client_credentials": CLIENT_CREDENTIALS,
    "token_exchange": TOKEN_EXCHANGE,
    "jwt_bearer": JWT_BEARER,
}
"""From the short name, as it may stand in the file, to the name on the wire."""


def grant_type_names(value: object) -> frozenset[str]:
    """Grant types, by their short names or as they are on the wire (RFC 7591 §2)."""
    found = set()
    for position, one in enumerate(texts(value)):
        if one in GRANT_TYPES.values():
            found.add(one)
        elif one in GRANT_TYPES:
            found.add(GRANT_TYPES[one])
        else:
            at = (position,) if isinstance(value, list) else ()
            if one in plugins.LATER[plugins.GRANT]:
                raise Wrong(f"{one} comes with a later version", at=at)
            raise Wrong("there is no such grant type", did_you_mean(one, GRANT_TYPES), at=at)
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a client says about itself (RFC 7591 §2): kept and shown."""

    client_name: str = ""
    """What people call it."""

    client_uri: str = ""
    """A page about it."""

    logo_uri: str = ""
    """Its picture."""

    contacts: tuple[str, ...] = ()
    """Who is responsible for it, as a rule e-mail addresses."""

    tos_uri: str = ""
    """Its terms of service."""

    policy_uri: str = ""
    """What it does with people's data."""

    software_id: str = ""
    """Which software it is, the same in every installation."""

    software_version: str = ""
    """Which version of it."""

    redirect_uris: tuple[str, ...] = ()
    """Where browsers are sent back to when people have connected an account; exactly these."""

    response_types: tuple[str, ...] = ()
    """What it will ask the authorization endpoint for, once there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTable(Metadata):
    """``[callers.<name>]`` of a client."""

    proof: str
    """How it shows who it is: `client_secret`, `private_key_jwt`, `client_secret_jwt`,
    `tls_client_auth`, `self_signed_tls_client_auth`, `none`, or `module:Class`."""

    client_id: str = ""
    """Its name on the wire; the table's name unless said."""

    grant_types: Annotated[frozenset[str], grant_type_names] | None = None
    """By which rights it may ask: `client_credentials`, `token_exchange`, `jwt_bearer` or their
    URNs. `client_credentials` unless said (`token_exchange` for `proof = "none"`); `[]` for a
    resource server, which may only introspect."""

    scope: Scope | None = None
    """The most it may ever have, whatever the rules allow; only the rules decide unless said."""

    default: str = ""
    """The token meant when a request names none."""

    tls_client_certificate_bound_access_tokens: bool = False
    """Whether its tokens are good only together with the certificate it showed (RFC 8705 §3)."""

    limit: Annotated[Rate | None, rate] = None
    """How often it may ask, such as `"50/s"`; what `[limits]` says of a `client` unless said."""

    origins: Annotated[frozenset[str], browser_origins] = frozenset()
    """Browser applications that may ask from a page (CORS), such as `https://app.example.com`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """One client, how it authenticates, and what it says about itself."""

    registered: Registered
    metadata: Metadata = field(default_factory=Metadata)
    origins: frozenset[str] = frozenset()
    limit: Rate | None = None


def read_client(
    name: str, table: Mapping[str, object], cls: type[Any], at: At, report: Report
) -> ClientSettings | None:
    table = spelled(
        table,
        at,
        report,
        ClientTable,
        cls,
        hints={
            "token_endpoint_auth_method": 'here that is proof = "client_secret", for instance',
            "jwks": "here that is keys = …",
            "client_secret": 'secrets = ["sha256:…"], as printed by: tokenward hash',
            "secret": 'secrets = ["sha256:…"], as printed by: tokenward hash',
        },
    )
    common = fill(ClientTable, table, at, report)
    proof = fill(cls, table, at, report)
    if common is None or proof is None:
        return None
    public = NONE in cls.methods
    given = common.grant_types
    if given is None:
        given = frozenset({TOKEN_EXCHANGE if public else CLIENT_CREDENTIALS})
    if public and CLIENT_CREDENTIALS in given:
        report.error(
            (*at, "grant_types"),
            "a client that proves nothing cannot use client_credentials (RFC 6749 §4.4)",
            'proof = "client_secret", or grant_types = ["token_exchange"]',
        )
    for position, said in ending(getattr(proof, "secrets", ()), now()):
        hint = "make the next one with: tokenward hash, and take this one away when it is used"
        report.warn((*at, "secrets", position), said, hint)
    client = Client(
        id=common.client_id or name,
        name=name,
        grant_types=given,
        scope=common.scope,
        default=common.default,
        public=public,
        certificate_bound=common.tls_client_certificate_bound_access_tokens,
    )
    return ClientSettings(
        registered=Registered(client=client, proof=proof),
        metadata=Metadata(**{one.name: getattr(common, one.name) for one in fields(Metadata)}),
        origins=common.origins,
        limit=common.limit,
    )
