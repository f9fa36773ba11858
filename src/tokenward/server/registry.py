"""Clients: who is registered here, and how each of them must show who it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import ASSERTION, BASIC, POST, Presented
from tokenward.server.assertions import claimed
from tokenward.server.model import NOBODY, UNPROVED, Client, Proved
from tokenward.server.proofs import ClientProof

_PLAIN = frozenset({BASIC, POST})
"""Two ways to say the same, which the trail tells apart."""


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

    async def authenticate(self, presented: Presented) -> tuple[Client, Proved]:
        """The client these credentials belong to; raises ``InvalidClient`` (RFC 6749 §5.2).

        Nobody presents nothing, and is somebody too, who may do little (RFC 6749 §2.3).

        The client is found first, then its one registered method decides: the answer does not
        tell an unknown client from a wrong secret or another method.
        """
        if not presented.method:
            return NOBODY, UNPROVED
        for id in self._claimed(presented):
            if (found := self.clients.get(id)) is not None:
                if presented.method not in found.proof.methods:
                    raise InvalidClient(detail=f"client {id!r} does not use {presented.method}")
                break
        else:
            found = self.stranger
        credential = await found.proof.authenticate(presented, found.client)
        method = presented.method if presented.method in _PLAIN else found.proof.name
        return found.client, Proved(method, credential)

    def _claimed(self, presented: Presented) -> list[str]:
        """The ids these credentials may be of; an assertion names its client itself."""
        if presented.method != ASSERTION:
            return [id for id, _ in presented.candidates]
        [(said, assertion)] = presented.candidates
        id = claimed(assertion)
        if said and said != id:
            raise InvalidClient(detail=f"client_id {said!r} is not the assertion's sub")
        return [id]
