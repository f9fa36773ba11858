"""What a client says about itself, signed: believed once, by us alone, and not for long.

Law of this module: every window of time comes from one constant, and whatever can be shown again
is remembered for longer than anybody would believe it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from tokenward.clock import Clock
from tokenward.jose.jws import InvalidToken, load_object, parts
from tokenward.jose.jwt import Claims, Expected
from tokenward.jose.keys import ALGORITHMS
from tokenward.oauth.errors import InvalidClient
from tokenward.server.model import Client
from tokenward.server.stores import Shelf

LEEWAY = 10.0
"""Seconds that a client's clock may be off (FAPI 2.0 §5.3.2.1: 0 to 10 s ahead are accepted)."""

MARGIN = 6 * LEEWAY
"""Seconds that a used assertion is remembered after nobody would believe it any more."""

LONGEST = 360 * LEEWAY
"""Seconds from now that an assertion may still be good: an hour, as some libraries write."""

TYPES = frozenset({"client-authentication+jwt", "jwt", ""})
"""``typ`` of an assertion (RFC 7523bis); that of an access token is none of them."""

REMEMBER = 1_024
"""Clients and issuers of which it is known what an assertion must say."""

_LONGEST_JTI = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a client's proof needs to know besides its own settings."""

    clock: Clock
    shelf: Shelf = field(repr=False)
    issuers: Mapping[str, str]
    """The exact URL of each of our issuers, by its name."""

    secrets_may_sign: frozenset[str] = frozenset()
    """The names of the issuers that accept ``client_secret_jwt``."""


def claimed(assertion: str) -> str:
    """The client an assertion says it is of, unverified; ``""`` if it says nothing."""
    try:
        _, payload, _, _ = parts(assertion)
        subject = load_object(payload).get("sub")
    except (InvalidToken, ValueError):
        return ""
    return subject if isinstance(subject, str) else ""


def expected(
    client: Client,
    issuer: str,
    also: tuple[str, ...],
    algorithms: frozenset[str] = ALGORITHMS,
) -> Expected:
    """What an assertion of this client must say to this issuer (RFC 7523 §3)."""
    return _expected(client.id, (issuer, *also), algorithms)


@lru_cache(maxsize=REMEMBER)
def _expected(id: str, audience: tuple[str, ...], algorithms: frozenset[str]) -> Expected:
    return Expected(
        issuer=id,
        audience=audience,
        algorithms=algorithms,
        typ=TYPES,
        leeway=LEEWAY,
        future_iat=LEEWAY,
        required=("sub", "exp", "jti"),
    )


async def spend(claims: Claims, client: Client, surroundings: Surroundings) -> None:
    """Accept what has been verified, this one time; raises ``InvalidClient``.

    Also raises ``StoreUnavailable``: what cannot be remembered cannot be accepted.
    """
    if claims["sub"] != client.id:  # RFC 7523 §3 (2.B)
        raise refused(client, "sub: not the client itself")
    if not isinstance(claims["aud"], str):
        # In a list there could be others who may use it on us (RFC 7523bis; CVE-2025-27370).
        raise refused(client, "aud: must be one string")
    exp, jti = float(str(claims["exp"])), str(claims["jti"])
    if exp > surroundings.clock() + LONGEST + LEEWAY:
        raise refused(client, "exp: too far away")
    if len(jti) > _LONGEST_JTI:
        raise refused(client, "jti: too long")
    said = f"{len(client.id)}:{client.id}{jti}".encode()
    place = f"jti/{sha256(said).hexdigest()}"
    if not await surroundings.shelf.add(place, b"", until=exp + LEEWAY + MARGIN):
        raise refused(client, "jti: used before")


def refused(client: Client, why: str) -> InvalidClient:
    """What the caller hears of every fault, and what the operator does."""
    return InvalidClient(detail=f"client {client.id!r}: {why}")
