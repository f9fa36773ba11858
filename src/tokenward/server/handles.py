"""Codes and refresh tokens: handles (RFC 6819 §3.1) that stand for a grant.

A handle is a secret of 256 bits. We keep its hash as the key and, sealed, the grant it stands for:
reading the store gives nobody a token. Looking at a handle does not spend it; the spine spends
last, so that an upstream's outage costs nobody their grant.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from tokenward.clock import Clock
from tokenward.oauth.errors import InvalidGrant
from tokenward.oauth.scope import Scope
from tokenward.server.model import NOBODY_ELSE, Caller, Client, Grant, Login
from tokenward.server.seal import Seal
from tokenward.server.stores import Shelf

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """All handles of one kind."""

    shelf: Shelf
    seal: Seal
    kind: str
    lifetime: float
    """Seconds."""

    clock: Clock

    async def give(self, grant: Grant) -> str:
        """A new handle for this grant."""
        handle = secrets.token_urlsafe(32)
        key = self._key(handle)
        sealed = self.seal.close(to_bytes(grant), key)
        await self.shelf.put(key, sealed, until=self.clock() + self.lifetime)
        return handle

    async def redeem(self, handle: str) -> Grant | None:
        """The grant it stands for, if it stands for any."""
        key = self._key(handle)
        kept = await self.shelf.get(key)
        if kept is None:
            return None
        return replace(from_bytes(self.seal.open(kept, key)), handle=handle)

    async def spend(self, handle: str) -> None:
        """Use it up; of two who try, one hears ``InvalidGrant``, before a token has left."""
        if await self.shelf.take(self._key(handle)) is None:
            raise InvalidGrant(detail="spent by somebody else in the meantime")

    def _key(self, handle: str) -> str:
        return f"{self.kind}/{sha256(handle.encode()).hexdigest()}"


def to_bytes(grant: Grant) -> bytes:
    """A grant as versioned JSON, without its handle; old versions survive an upgrade."""
    return json.dumps(
        {
            "version": _VERSION,
            "caller": _caller_to_json(grant.caller),
            "actor": _caller_to_json(grant.actor) if grant.actor else None,
            "client": {
                "id": grant.client.id,
                "name": grant.client.name,
                "grant_types": sorted(grant.client.grant_types),
                "scope": None if grant.client.scope is None else str(grant.client.scope),
                "default": grant.client.default,
            },
            "grant_type": grant.grant_type,
            "issuer": grant.issuer,
            "targets": list(grant.targets),
            "scope": str(grant.scope),
            "login": [
                grant.login.at,
                list(grant.login.how),
                grant.login.session,
                grant.login.nonce,
            ],
            "offline": grant.offline,
        }
    ).encode()


def from_bytes(data: bytes) -> Grant:
    """What ``to_bytes`` made; raises ``InvalidGrant`` for a version we cannot read."""
    said = json.loads(data)
    if said["version"] != _VERSION:
        raise InvalidGrant(detail=f"a grant of version {said['version']}")
    client, (at, how, session, nonce) = said["client"], said["login"]
    return Grant(
        caller=_caller_from_json(said["caller"]),
        actor=_caller_from_json(said["actor"]) if said["actor"] else NOBODY_ELSE,
        client=Client(
            id=client["id"],
            name=client["name"],
            grant_types=frozenset(client["grant_types"]),
            scope=None if client["scope"] is None else Scope.parse(client["scope"]),
            default=client["default"],
        ),
        grant_type=said["grant_type"],
        issuer=said["issuer"],
        targets=tuple(said["targets"]),
        scope=Scope.parse(said["scope"]),
        login=Login(at=at, how=tuple(how), session=session, nonce=nonce),
        offline=said["offline"],
    )


def _caller_to_json(caller: Caller) -> dict[str, object]:
    return {
        "name": caller.name,
        "subject": caller.subject,
        "claims": dict(caller.claims),
        "expires_at": None if caller.expires_at == float("inf") else caller.expires_at,
        "default": caller.default,
    }


def _caller_from_json(said: Mapping[str, object]) -> Caller:
    claims, expires_at = said["claims"], said["expires_at"]
    return Caller(
        name=str(said["name"]),
        subject=str(said["subject"]),
        claims=claims if isinstance(claims, Mapping) else {},
        expires_at=expires_at if isinstance(expires_at, int | float) else float("inf"),
        default=str(said["default"]),
    )
