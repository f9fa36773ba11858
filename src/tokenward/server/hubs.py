"""Which hubs there are, and which applications may ask at them."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from tokenward.server.audit import Audit
from tokenward.server.endpoints import Endpoint
from tokenward.server.hub.door import HubDoor
from tokenward.server.issuance import Issuance
from tokenward.server.profiles.hub import Hub
from tokenward.server.proofs.hub_key import Application
from tokenward.server.settings import Settings


def hubs(
    settings: Settings, issuance: Issuance, audit: Audit, proofs: Iterable[object]
) -> dict[str, Endpoint]:
    """Their doors, by path."""
    applications = tuple(one for one in proofs if isinstance(one, Application))
    for one in applications:
        one.origins = settings.subjects[one.trusting.name].origins
    routes: dict[str, Endpoint] = {}
    for name, issuer in settings.issuers.items():
        profile = issuer.profile
        if isinstance(profile, Hub):
            door = HubDoor(
                issuer=name,
                issuance=issuance,
                audit=audit,
                applications=applications,
                seconds=profile.challenge,
                most=profile.waiting,
            )
            path = urlsplit(issuer.url).path.removesuffix("/")
            routes |= dict.fromkeys([path + below for below in profile.sockets], door)
    return routes
