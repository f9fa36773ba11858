"""Which paths lead to a WebSocket, and who goes on with a connection that asks for one."""

import asyncio
import re
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from tokenward.server.endpoints import Endpoint
from tokenward.server.http import Received

_METHOD = re.compile(r"(/[^/]+/[^/]+)$")
_DOUBLED = re.compile(r"/{2,}")


class House(Protocol):
    """Who counts connections, and asks all of them to leave."""

    def enter(self, one: "Heir") -> None:
        """One more."""
        ...

    def leave(self, one: "Heir") -> None:
        """One less."""
        ...

    def employ(self, task: asyncio.Task[None]) -> None:
        """Wait for this before we stop."""
        ...


class Heir(Protocol):
    """Who goes on with a connection that began as HTTP."""

    def begin(self, transport: asyncio.Transport, house: House, rest: bytes) -> None:
        """Take it over; ``rest`` has arrived already."""
        ...

    def shutdown(self) -> None:
        """Be done soon."""
        ...


@runtime_checkable
class Upgrading(Protocol):
    """An endpoint that can do more than answer."""

    def upgrade(self, received: Received) -> Heir | None:
        """Who goes on, if this was asked for; ``None`` leaves it to the answer."""
        ...


def sockets(endpoints: Mapping[str, Endpoint]) -> dict[str, Upgrading]:
    """The endpoints that lead to one, by their path, and by its end if no other ends so.

    Clients of a hub put its two last segments behind whatever they were told is its address.
    """
    found = {path: it for path, it in endpoints.items() if isinstance(it, Upgrading)}
    ends: dict[str, list[Upgrading]] = {}
    for path, endpoint in found.items():
        ends.setdefault("/".join(["", *path.split("/")[-2:]]), []).append(endpoint)
    return {**{end: them[0] for end, them in ends.items() if len(them) == 1}, **found}


def socket_at(path: str, known: Mapping[str, Upgrading]) -> Upgrading | None:
    """The endpoint at this path, or at the end of it; slashes may be doubled."""
    if not known:
        return None
    path = _DOUBLED.sub("/", path)
    end = _METHOD.search(path)
    return known.get(path) or (known.get(end[1]) if end else None)
