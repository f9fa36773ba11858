"""Clients: who is registered here, and how each of them must show who it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.oauth.errors import InvalidClient
from tokenward.oauth.presented import ASSERTION, BASIC, POST, Presented
from tokenward.server.assertions import claimed
from tokenward.server.limits import Limits
from tokenward.server.model import NOBODY, UNPROVED, Client, Proved
from tokenward.server.proofs import ClientProof

_PLAIN = frozenset({BASIC, POST})
"""Two ways to say the same, which the trail tells apart."""

GUESSED = _PLAIN
"""Methods with a secret that somebody may try many of; what is signed, nobody finds by trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A client and its one way to authenticate."""

    client: Client
    proof: ClientProof = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Registry:
    """The clients that the configuration declares, and those registered beside it."""

    clients: Mapping[str, Registered]
    """By ``client_id``; at first those of the configuration."""

    stranger: Registered = field(repr=False)
    """Somebody nobody is: refusing them takes as long as refusing a client with a wrong secret."""

    limits: Limits = field(default_factory=Limits)
    enrolled: frozenset[str] = field(default=frozenset(), init=False)
    """The ids of those registered beside it, whether they may come in now or not."""

    _declared: Mapping[str, Registered] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._declared = self.clients

    def enrol(self, clients: Mapping[str, Registered], *, known: frozenset[str]) -> None:
        """From now on these are clients too, and no others but those of the configuration.

        ``known`` are the ids of all who are registered, also of those who may not come in.
        """
        self.clients = {**clients, **self._declared}
        self.enrolled = known

    async def authenticate(self, presented: Presented, address: str = "") -> tuple[Client, Proved]:
        """The client these credentials belong to; raises ``InvalidClient`` (RFC 6749 §5.2), and
        ``TooManyRequests`` for who was wrong, or right, too often.

        Nobody presents nothing, and is somebody too, who may do little (RFC 6749 §2.3).

        The client is found first, then its one registered method decides: the answer does not
        tell an unknown client from a wrong secret or another method.
        """
        if not presented.method:
            return NOBODY, UNPROVED
        ids = self._claimed(presented)
        found = next((self.clients[id] for id in ids if id in self.clients), None)
        # One name for all spellings of a client, and one for each of those who are none of ours.
        name = found.client.id if found is not None else ids[0]
        limits = self.limits
        guess = limits.begin_guess(name, address)
        # What is signed takes time to look at, and many of one client may be under way.
        if not (guessed := presented.method in GUESSED):
            limits.forgive(guess)
        try:
            client, proved = await self._proved(found, presented)
        except InvalidClient:
            if not guessed:
                limits.count_guess(guess)
            raise
        except BaseException:
            if guessed:
                limits.forgive(guess)
            raise
        if guessed:
            limits.forgive(guess, right=True)
        return client, proved

    async def _proved(
        self, found: Registered | None, presented: Presented
    ) -> tuple[Client, Proved]:
        if found is None:
            found = self.stranger
        elif presented.method not in found.proof.methods:
            id = found.client.id
            raise InvalidClient(detail=f"client {id!r} does not use {presented.method}")
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
