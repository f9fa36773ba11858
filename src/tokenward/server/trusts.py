"""Whose word do we take? The subject proofs of a server, made of its settings.

Law of this module: nobody's people may have the name of a client, of another caller or of its
people.
"""

from collections.abc import Iterable
from typing import Any

import httpx2

from tokenward.clock import Clock
from tokenward.server.denylist import DenyList
from tokenward.server.enrolment import Taken
from tokenward.server.keeping import challenges_of, seal
from tokenward.server.proofs import Trusting
from tokenward.server.registry import Registry
from tokenward.server.settings import Settings
from tokenward.server.stores import Store
from tokenward.server.subjects import Subjects


def subjects_of(
    settings: Settings, *, store: Store, registry: Registry, http: httpx2.AsyncClient, clock: Clock
) -> Subjects:
    """All there are; nothing is opened yet."""
    names = {*settings.clients, *settings.subjects}
    urls = {issuer.url for issuer in settings.issuers.values()}
    denylist = DenyList(store.shelf)
    alone = settings.store.lower().startswith("memory:")
    proofs = tuple(
        subject.proof.trusted(
            Trusting(
                name=name,
                default=subject.default,
                taken=Taken(frozenset(names - {name}), registry),
                clock=clock,
                http=http,
                shelf=None if alone else store.shelf,
                seal=None if alone else lambda: seal(settings, store),
                onward=getattr(subject.proof, "onward", False),
                revoked=(
                    denylist.revoked if getattr(subject.proof, "issuer", "") in urls else None
                ),
            )
        )
        for name, subject in settings.subjects.items()
    )
    # A key that one of them knows by itself is never taken for just anybody's.
    owners = sorted((it for it in proofs if hasattr(it, "owner")), key=lambda it: bool(it.anybody))
    return Subjects(
        tuple(it for it in proofs if not hasattr(it, "owner")),
        holders=tuple(it for it in proofs if hasattr(it, "holder")),
        owners=tuple(owners),
        challenges=challenges_of(settings, store, clock),
    )


async def open_all(proofs: Iterable[Any]) -> None:
    """Open those that have something to open."""
    for proof in proofs:
        if hasattr(proof, "open"):
            await proof.open()


async def close_all(proofs: Iterable[Any]) -> None:
    """Close those that have something to close."""
    for proof in proofs:
        if hasattr(proof, "close"):
            await proof.close()
