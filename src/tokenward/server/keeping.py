"""How a server keeps its signing keys: where, sealed with what, held by whom, and for how long."""

from math import inf
from pathlib import Path
from secrets import token_bytes

from tokenward.clock import Clock
from tokenward.server.challenges import Challenges
from tokenward.server.endpoints.jwks import MAX_AGE
from tokenward.server.holder import Holder
from tokenward.server.keyring import POLL, KeyRing
from tokenward.server.rotation import Periods
from tokenward.server.seal import Seal
from tokenward.server.settings import Settings
from tokenward.server.settings.holders import key_holders
from tokenward.server.stores import Store

LEAD = MAX_AGE + 2 * POLL + 60.0
"""Seconds between the first sight of a key and its first signature: whoever verifies has fetched
it by then, and all our processes know it, if no clock is off by more than a minute."""


def keyring_of(settings: Settings, store: Store, clock: Clock) -> KeyRing:
    """All rings of a server, in its store."""
    return KeyRing(
        shelf=store.shelf,
        seal=seal(settings, store),
        clock=clock,
        periods=periods(settings),
        holders=holders(settings),
    )


def periods(settings: Settings) -> dict[str, Periods]:
    """How the keys of each issuer come and go."""
    longest = dict.fromkeys(settings.issuers, 0.0)
    for token in settings.tokens.values():
        if token.upstream is None:
            longest[token.issuer] = max(longest[token.issuer], token.lifetime)
    return {
        name: Periods(
            every=issuer.rotate_every if issuer.signer is None or issuer.signer.makes_keys else inf,
            lead=LEAD,
            keep=longest[name] + LEAD,
        )
        for name, issuer in settings.issuers.items()
    }


def holders(settings: Settings) -> dict[str, Holder]:
    """Who holds the keys of which issuer, where we do not."""
    issuers = settings.issuers.items()
    return {name: Holder(signer=it.signer) for name, it in issuers if it.signer is not None}


def seal(settings: Settings, store: Store) -> Seal:
    """The key that secrets at rest are sealed with: given, in a file, or beside the database."""
    if settings.encryption_key:
        return Seal.from_text(settings.encryption_key)
    file = key_file(settings, store.path)
    return Seal.of(token_bytes(32)) if file is None else Seal.from_file(file)


def key_file(settings: Settings, store: Path | None) -> Path | None:
    """Where that key is, ``None`` if in no file; ``store`` is the database's file, if it is one."""
    if settings.encryption_key:
        return None
    if settings.encryption_key_file:
        return Path(settings.encryption_key_file)
    return None if store is None else store.with_name(store.name + ".key")


def challenges_of(settings: Settings, store: Store, clock: Clock) -> Challenges | None:
    """What asks whoever has a key, for all issuers; ``None`` where nobody shows one."""
    if not key_holders(settings.subjects):
        return None
    return Challenges(
        issuers={name: issuer.url for name, issuer in settings.issuers.items()},
        seal=seal(settings, store),
        shelf=store.shelf,
        clock=clock,
    )
