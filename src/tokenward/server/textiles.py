"""Which of the routes of Textile's examples there are, and who asks there in whose name."""

from collections.abc import Callable
from urllib.parse import urlsplit

from tokenward.jose.identity import PublicKey
from tokenward.server.audit import Audit
from tokenward.server.endpoints import Endpoint
from tokenward.server.issuance import Issuance
from tokenward.server.model import Caller
from tokenward.server.proofs.hub_key import Application
from tokenward.server.proofs.key import KeyHolders
from tokenward.server.settings import IssuerSettings, Settings
from tokenward.server.settings.textile import Textile
from tokenward.server.subjects import Subjects
from tokenward.server.textile.door import TextileDoor
from tokenward.server.textile.giving import Giving
from tokenward.server.textile.routes import FooRoute, TokenRoute, UserauthRoute


def textile_routes(
    settings: Settings,
    textile: Textile,
    *,
    issuance: Issuance,
    audit: Audit,
    subjects: Subjects,
) -> dict[str, Endpoint]:
    """All that are turned on, by path."""
    here = frozenset(map(_origin, settings.issuers.values()))
    said = textile.table
    giving = Giving(
        issuance=issuance,
        audit=audit,
        owner=_owner(said.people, textile.key, subjects),
        token=said.token,
        userauth=said.userauth,
        origins=settings.subjects[said.people].origins | here,
        visitor=textile.visitor,
        visiting=textile.visiting | here,
    )

    def door(*, whole: bool) -> TextileDoor:
        return TextileDoor(giving=giving, whole=whole, seconds=said.challenge, most=said.waiting)

    by_name: dict[str, Endpoint] = {
        "/api/foo": FooRoute(),
        "/api/token": TokenRoute(giving=giving, key_in_url=said.key_in_url),
        "/ws/token": door(whole=False),
    }
    if said.userauth:
        signed, talk = UserauthRoute(giving=giving), door(whole=True)
        by_name |= dict.fromkeys(("/api/userauth", "/api/credentials"), signed)
        by_name |= dict.fromkeys(("/ws/userauth", "/ws/login"), talk)
    return by_name


def _owner(people: str, key: str, subjects: Subjects) -> Callable[[PublicKey], Caller | None]:
    """Who says whose key it is: those who are their keys, or an application of Textile's."""
    for one in subjects.owners:
        if isinstance(one, KeyHolders) and one.trusting.name == people:
            return one.owner
    for proof in subjects.proofs:
        if isinstance(proof, Application) and proof.trusting.name == people:
            return _people_of(proof, key)
    raise AssertionError("no such people, and the settings did not say so")


def _people_of(application: Application, key: str) -> Callable[[PublicKey], Caller | None]:
    """Those who come with this key of an application's, for as long as it is good."""

    def owner(public: PublicKey) -> Caller | None:
        group = application.find(key)
        return None if group is None else group.person(public)

    return owner


def _origin(issuer: IssuerSettings) -> str:
    """The origin of our own pages, as browsers write it (RFC 6454 §6.2)."""
    parts = urlsplit(issuer.url)
    return f"{parts.scheme}://{parts.netloc}"
