"""Which path leads where: the doors of the server itself, and those of each issuer.

To add an endpoint, write its file in ``endpoints`` and hang its door here.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tokenward.clock import Clock
from tokenward.jose.identity import ALGORITHMS
from tokenward.oauth.presented import BASIC, NONE, POST
from tokenward.server.audit import Audit
from tokenward.server.challenges import Challenges
from tokenward.server.connections import connectable
from tokenward.server.denylist import DenyList
from tokenward.server.endpoints import Endpoint
from tokenward.server.endpoints.authorize import AuthorizationEndpoint
from tokenward.server.endpoints.challenge import ChallengeEndpoint
from tokenward.server.endpoints.introspection import IntrospectionEndpoint
from tokenward.server.endpoints.jwks import JwksEndpoint
from tokenward.server.endpoints.metadata import MetadataEndpoint, document, well_known
from tokenward.server.endpoints.revocation import RevocationEndpoint
from tokenward.server.endpoints.token import TokenEndpoint
from tokenward.server.hooks import Admit
from tokenward.server.issuance import Issuance
from tokenward.server.keyring import Ring
from tokenward.server.ours import Minted, Ours
from tokenward.server.profiles import (
    AUTHORIZATION,
    CHALLENGE_PATH,
    INTROSPECTION,
    JWKS,
    REVOCATION,
    TOKEN,
)
from tokenward.server.routing import REST
from tokenward.server.settings import ConfigError, IssuerSettings, Problem, Settings
from tokenward.server.settings.holders import key_holders
from tokenward.server.stores import Shelf
from tokenward.server.subjects import Subjects
from tokenward.server.upstreams import passes

if TYPE_CHECKING:
    from tokenward.server.natives import Natives

if TYPE_CHECKING:
    from tokenward.server.theirs import Theirs

GET_TOKEN, HEALTH, LIVE, READY = "/getToken", "/healthz", "/livez", "/readyz"
METRICS, CONNECTIONS = "/metrics", "/connections"
"""The doors that belong to the server, and to no issuer."""

SECRET_JWT = "client_secret_jwt"
LISTED = frozenset(
    {"private_key_jwt", SECRET_JWT, "tls_client_auth", "self_signed_tls_client_auth"}
)
"""Ways to authenticate that metadata speak of only where some client uses them."""


def paths(settings: Settings) -> dict[str, str]:
    """Every path and what it belongs to; raises ``ConfigError`` if two things want the same."""
    owners = dict.fromkeys((GET_TOKEN, HEALTH, LIVE, READY, METRICS), "the server itself")
    owners |= dict.fromkeys(connecting(settings), "the server itself")
    if settings.textile is not None:
        owners |= dict.fromkeys(settings.textile.table.paths, "the table textile")
    problems = []
    for name, issuer in settings.issuers.items():
        path = urlsplit(issuer.url).path.removesuffix("/")
        mine = [path + below for below in (*issuer.profile.paths.values(), *sockets(issuer))]
        mine += [path + CHALLENGE_PATH] if asks(settings) else []
        for one in {*mine, *well_known(path)}:
            if one in owners:
                problems.append(
                    Problem(
                        place=f"issuers.{name}.url",
                        message=f"its path {one} belongs to {owners[one]} already",
                        hint="give this issuer a path of its own",
                    )
                )
            owners[one] = f"issuers.{name}"
    if problems:
        raise ConfigError(problems=tuple(problems))
    return owners


def connecting(settings: Settings) -> tuple[str, ...]:
    """The paths of the doors where people connect accounts, if there is a token for that."""
    names = [name for name, token in settings.tokens.items() if connectable(token.upstream)]
    if not names:
        return ()
    asked = ("start", "complete", "list", "disconnect", *(f"callback/{name}" for name in names))
    return (CONNECTIONS + REST, *(f"{CONNECTIONS}/{one}" for one in asked))


def accounts(
    settings: Settings, theirs: "Theirs", issuance: Issuance, audit: Audit
) -> dict[str, Endpoint]:
    """Those doors, by path."""
    if not connecting(settings):
        return {}
    from tokenward.server.accounts import accounts as open_accounts  # noqa: PLC0415  few have any

    return open_accounts(settings, theirs, issuance, audit)


def asks(settings: Settings) -> bool:
    """Whether anybody has to answer a challenge: of ours, or of an upstream's."""
    upstreams = (token.upstream for token in settings.tokens.values())
    return bool(key_holders(settings.subjects)) or any(map(passes, upstreams))


def sockets(issuer: IssuerSettings) -> tuple[str, ...]:
    """The paths below this issuer that lead to a WebSocket."""
    found: tuple[str, ...] = getattr(issuer.profile, "sockets", ())
    return found


def hubs(
    settings: Settings, issuance: Issuance, audit: Audit, proofs: Iterable[object]
) -> dict[str, Endpoint]:
    """The doors of all hubs, by path."""
    if not any(sockets(issuer) for issuer in settings.issuers.values()):
        return {}
    from tokenward.server.hubs import hubs as doors_of_hubs  # noqa: PLC0415  few have one

    return doors_of_hubs(settings, issuance, audit, proofs)


async def natives(
    settings: Settings, routes: Mapping[str, Endpoint], admit: Admit
) -> "Natives | None":
    """The ports at which hubs speak gRPC, open; ``None`` if there are none."""
    if not any(getattr(issuer.profile, "grpc", "") for issuer in settings.issuers.values()):
        return None
    from tokenward.server.natives import Natives  # noqa: PLC0415  another library, and a large one

    return await Natives.opened(settings, routes, admit)


def textile(
    settings: Settings, issuance: Issuance, audit: Audit, subjects: Subjects
) -> dict[str, Endpoint]:
    """The doors of Textile's examples, if they are turned on."""
    if settings.textile is None:
        return {}
    from tokenward.server.textiles import textile_routes  # noqa: PLC0415  few have them

    return textile_routes(
        settings, settings.textile, issuance=issuance, audit=audit, subjects=subjects
    )


def of_issuer(
    issuer: IssuerSettings,
    *,
    settings: Settings,
    ring: Ring,
    issuance: Issuance,
    audit: Audit,
    shelf: Shelf,
    clock: Clock,
    challenges: Challenges | None = None,
) -> dict[str, Endpoint]:
    """The endpoints of one issuer, by path."""
    tokens = [token for token in settings.tokens.values() if token.issuer == issuer.name]
    ours = Ours(
        issuer=issuer.url,
        typ=issuer.profile.typ,
        ring=ring,
        minted={
            token.audience: Minted(
                name=token.name, audience=token.audience, introspectors=token.introspectors
            )
            for token in tokens
        },
        denylist=DenyList(shelf),
        clock=clock,
    )
    methods, signing = authentication(settings, issuer)
    metadata = MetadataEndpoint(
        document=document(
            url=issuer.url,
            profile=issuer.profile,
            algorithm=issuer.algorithm,
            scopes={scope for token in tokens for scope in token.scopes},
            grant_types=issuance.grant_types,
            keys=signed_by(settings),
            client_methods=methods,
            signing=signing,
            certificate_bound=any(
                one.client.certificate_bound for one in settings.clients.values()
            ),
        )
    )
    by_role: dict[str, Endpoint] = {
        AUTHORIZATION: AuthorizationEndpoint(),
        TOKEN: TokenEndpoint(
            issuer=issuer.name,
            profile=issuer.profile,
            issuance=issuance,
            audit=audit,
            clock=clock,
        ),
        JWKS: JwksEndpoint(ring=ring),
        INTROSPECTION: IntrospectionEndpoint(
            issuer=issuer.name,
            ours=ours,
            profile=issuer.profile,
            registry=issuance.registry,
            audit=audit,
        ),
        REVOCATION: RevocationEndpoint(
            issuer=issuer.name,
            ours=ours,
            profile=issuer.profile,
            registry=issuance.registry,
            audit=audit,
        ),
    }
    path = urlsplit(issuer.url).path.removesuffix("/")
    asking: dict[str, Endpoint] = {}
    if asks(settings):
        asking[path + CHALLENGE_PATH] = ChallengeEndpoint(
            issuer=issuer.name, challenges=challenges, issuance=issuance, audit=audit
        )
    return {
        **{
            path + issuer.profile.paths[role]: endpoint
            for role, endpoint in by_role.items()
            if role in issuer.profile.paths
        },
        **asking,
        **dict.fromkeys(well_known(path), metadata),
    }


def authentication(settings: Settings, issuer: IssuerSettings) -> tuple[set[str], set[str]]:
    """How clients authenticate at this issuer, and what those sign with who sign (RFC 8414 §2).

    Secrets and no proof at all are always there; of the others, those that some client uses.
    """
    methods, signing = {BASIC, POST, NONE}, set[str]()
    for registered in settings.clients.values():
        proof = registered.proof
        name = getattr(proof, "name", "")
        if name in LISTED and (name != SECRET_JWT or issuer.client_secret_jwt):
            methods.add(name)
            signing |= getattr(proof, "algorithms", None) or {getattr(proof, "algorithm", "")}
    return methods, signing - {""}


def signed_by(settings: Settings) -> set[str]:
    """What those sign with who show a key; nothing if nobody does."""
    kinds = {kind for proof in key_holders(settings.subjects).values() for kind in proof.types}
    return {ALGORITHMS[kind] for kind in kinds}
