"""Accounts that people connect: the doors, where there is a token for that, and who is behind them.

Nobody imports this who has none.
"""

from collections.abc import Callable, Mapping

import httpx2

from tokenward.clock import Clock
from tokenward.server.audit import Audit
from tokenward.server.connections import Connectable, Kept, Platform, connectable
from tokenward.server.connections.browsers import Browsers
from tokenward.server.connections.guide import PATH, App, Guide
from tokenward.server.connections.journeys import Journeys
from tokenward.server.endpoints import Endpoint
from tokenward.server.endpoints.connecting import LinkEndpoint, ReturnEndpoint
from tokenward.server.endpoints.connections import Asked, ConnectionsEndpoint
from tokenward.server.issuance import Issuance
from tokenward.server.routing import REST
from tokenward.server.seal import Seal
from tokenward.server.settings import Settings
from tokenward.server.settings.connecting import origin_of
from tokenward.server.stores import Shelf

ASKED: tuple[Asked, ...] = ("start", "complete", "list", "disconnect")


def paths(settings: Settings) -> list[str]:
    """The paths of all its doors; none where nobody connects an account."""
    names = sorted(connecting(settings))
    if not names:
        return []
    return [
        PATH + REST,
        *(f"{PATH}/{one}" for one in ASKED),
        *(f"{PATH}/callback/{name}" for name in names),
    ]


def connecting(settings: Settings) -> dict[str, Connectable]:
    """The upstreams to which people connect accounts, by the name of the token."""
    found = {name: connectable(token.upstream) for name, token in settings.tokens.items()}
    return {name: it for name, it in found.items() if it is not None}


def doors(
    settings: Settings,
    *,
    kept: Callable[[str], Kept],
    upstreams: Mapping[str, Connectable],
    http: httpx2.AsyncClient,
    shelf: Shelf,
    seal: Seal,
    clock: Clock,
    issuance: Issuance,
    audit: Audit,
) -> dict[str, Endpoint]:
    """All of them, by path; ``kept`` knows where the connections to a token are."""
    origin = origin_of(settings.issuers)
    guide = Guide(
        origin=origin,
        platforms={
            name: Platform(
                name=name,
                upstream=upstream,
                kept=kept(name),
                scopes=settings.tokens[name].scopes,
            )
            for name, upstream in upstreams.items()
        },
        apps=apps(settings),
        journeys=Journeys(shelf=shelf, seal=seal, clock=clock),
        http=http,
        clock=clock,
    )
    browsers = Browsers(seal=seal, https=origin.startswith("https:"))
    questions = {
        f"{PATH}/{asked}": ConnectionsEndpoint(
            asked=asked, guide=guide, issuance=issuance, audit=audit
        )
        for asked in ASKED
    }
    returns = {
        f"{PATH}/callback/{name}": ReturnEndpoint(
            token=name, guide=guide, browsers=browsers, audit=audit
        )
        for name in upstreams
    }
    link = LinkEndpoint(guide=guide, browsers=browsers, audit=audit)
    return {PATH + REST: link, **questions, **returns}


def apps(settings: Settings) -> dict[str, App]:
    """Who may connect accounts of their people, and where browsers go back to."""
    subjects = {
        name: App(name=one.client_name or name, returns=one.redirect_uris)
        for name, one in settings.subjects.items()
    }
    clients = {
        id: App(name=one.client_name or id, returns=one.redirect_uris)
        for id, one in settings.metadata.items()
    }
    return {**subjects, **clients}
