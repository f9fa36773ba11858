"""Accounts that people connect: the doors, where there is a token for that, and who is behind them.

Nobody imports this who has none.
"""

from tokenward.server.audit import Audit
from tokenward.server.broker import Broker
from tokenward.server.connections import Connectable, Platform, connectable
from tokenward.server.connections.browsers import Browsers
from tokenward.server.connections.guide import PATH, App, Guide
from tokenward.server.connections.journeys import Journeys
from tokenward.server.endpoints import Endpoint
from tokenward.server.endpoints.connecting import LinkEndpoint, ReturnEndpoint
from tokenward.server.endpoints.connections import Asked, ConnectionsEndpoint
from tokenward.server.issuance import Issuance
from tokenward.server.routing import REST
from tokenward.server.settings import Settings
from tokenward.server.settings.connecting import origin_of
from tokenward.server.theirs import Theirs

ASKED: tuple[Asked, ...] = ("start", "complete", "list", "disconnect")


def connecting(settings: Settings) -> list[str]:
    """The tokens that are of accounts that people connect."""
    return [name for name, token in settings.tokens.items() if connectable(token.upstream)]


def accounts(
    settings: Settings, theirs: Theirs, issuance: Issuance, audit: Audit
) -> dict[str, Endpoint]:
    """All of them, by path; none where nobody connects an account."""
    names, seal, clock = connecting(settings), theirs.seal(), theirs.clock
    origin = origin_of(settings.issuers)
    guide = Guide(
        origin=origin,
        platforms={name: _platform(settings, theirs.brokers[name], name) for name in names},
        apps=apps(settings),
        journeys=Journeys(shelf=theirs.store.shelf, seal=seal, clock=clock),
        kept=theirs.people,
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
        for name in names
    }
    link = LinkEndpoint(guide=guide, browsers=browsers, audit=audit)
    return {PATH + REST: link, **questions, **returns}


def _platform(settings: Settings, broker: object, name: str) -> Platform:
    assert isinstance(broker, Broker)  # noqa: S101 - nobody answers challenges for an account
    upstream: object = broker.upstream  # with our signature, where it needs one
    assert isinstance(upstream, Connectable)  # noqa: S101 - this is why it is among them
    token = settings.tokens[name]
    return Platform(
        name=name,
        upstream=upstream,
        http=broker.http,
        scopes=token.scopes,
        names_scopes=token.scope_check,
    )


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
