"""The ports at which hubs speak gRPC: opened once, and led to where the settings say since."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.server.endpoints import Endpoint
from tokenward.server.hooks import Admit
from tokenward.server.hub.door import HubDoor
from tokenward.server.hub.native import Listener
from tokenward.server.hub.tls import Keys
from tokenward.server.settings import TLS, Settings


@dataclass(slots=True)
class Natives:
    """All of them, by the names of their issuers."""

    listeners: dict[str, Listener]
    _ending: "list[asyncio.Future[None]]" = field(default_factory=list, init=False)

    @classmethod
    async def opened(
        cls, settings: Settings, routes: Mapping[str, Endpoint], admit: Admit
    ) -> "Natives":
        """Open all ports; raises ``OSError`` if one cannot be had, and has none then."""
        made = cls({})
        listen = settings.listen
        for name, door in _doors(routes).items():
            place: str = getattr(settings.issuers[name].profile, "grpc", "")
            if place:
                made.listeners[name] = Listener(
                    place=place,
                    door=door,
                    admit=admit,
                    keys=None if listen.tls is None else _keys(listen.tls),
                    beside=listen.workers > 1,
                )
        try:
            for listener in made.listeners.values():
                await listener.open()
        except OSError:
            await made.close()
            raise
        return made

    def lead(self, routes: Mapping[str, Endpoint], admit: Admit) -> None:
        """Answer as new settings say; where a hub is gone, nobody answers any more."""
        found = _doors(routes)
        for name, listener in list(self.listeners.items()):
            if name in found:
                listener.door, listener.admit = found[name], admit
            else:
                self._ending.append(asyncio.ensure_future(self.listeners.pop(name).close()))

    async def close(self) -> None:
        """Let in nobody new, and those who are in come to an end."""
        last = [one.close() for one in self.listeners.values()]
        await asyncio.gather(*last, *self._ending, return_exceptions=True)


def _doors(routes: Mapping[str, Endpoint]) -> dict[str, HubDoor]:
    return {one.issuer: one for one in routes.values() if isinstance(one, HubDoor)}


def _keys(tls: TLS) -> Keys:
    return Keys(
        certificate=tls.certificate,
        key=tls.key,
        password=tls.password,
        client_ca=tls.client_ca if tls.clients == "required" else "",
    )
