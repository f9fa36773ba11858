"""Clients: who is registered here, and how each of them must show who it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import ASSERTION, Presented
from tokenward.server.assertions import claimed
from tokenward.server.model import NOBODY, Client
from tokenward.server.proofs import ClientProof


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A client and its one way to authenticate."""

    client: Client
    proof: ClientProof = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The clients that the configuration declares."""

    clients: Mapping[str, Registered]
    """By ``client_id``."""

    stranger: Registered = field(repr=False)
    """Somebody nobody is: refusing them takes as long as refusing a client with a wrong secret."""

    async def authenticate(self, presented: Presented) -> Client:
        """The client these credentials belong to; raises ``InvalidClient`` (RFC 6749 §5.2).

        Nobody presents nothing, and is somebody too, who may do little (RFC 6749 §2.3).

        The client is found first, then its one registered method decides: the answer does not
        tell an unknown client from a wrong secret or another method.
        """
        if not presented.method:
            return NOBODY
        for id in self._claimed(presented):
            if (found := self.clients.get(id)) is not None:
                if presented.method not in found.proof.methods:
                    raise InvalidClient(detail=f"client {id!r} does not use {presented.method}")
                break
        else:
            found = self.stranger
        await found.proof.authenticate(presented, found.client)
        return found.client

    def _claimed(self, presented: Presented) -> list[str]:
        """The ids these credentials may be of; an assertion names its client itself."""
        if presented.method != ASSERTION:
            return [id for id, _ in presented.candidates]
        [(said, assertion)] = presented.candidates
        id = claimed(assertion)
        if said and said != id:
            raise InvalidClient(detail=f"client_id {said!r} is not the assertion's sub")
        return [id]
