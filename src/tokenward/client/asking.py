"""Asking a token endpoint: again if that may help, never for long, never without need.

What may help is asked again: no connection, no answer in time, and the statuses 408, 429 and 5xx;
what the server has decided (400, 401) is not.
"""

import time
from collections.abc import Callable
from itertools import count
from random import SystemRandom
from typing import Protocol

import httpx2

from tokenward.client.errors import TokenError
from tokenward.client.flows import TokenEndpoint
from tokenward.clock import Clock
from tokenward.oauth.messages import AccessToken
from tokenward.remote.fetch import RemoteError, run
from tokenward.remote.flow import Flow


class Conversation(Protocol):
    """What to say to an endpoint that has been found, at the time that is given."""

    def __call__(self, endpoint: TokenEndpoint, /, *, now: float) -> Flow[AccessToken]: ...


TRIES = 3
FIRST_PAUSE = 0.25
"""Seconds, give or take half; the next pause is twice as long."""

LOCATED_FOR = 3_600.0
"""Seconds for which the issuer's metadata is believed, unless the endpoint fails earlier."""


class Asker:
    """One token endpoint and the patience to ask it, for any number of threads.

    ``deadline`` is in seconds, for all tries and pauses together. ``connect`` opens the HTTP
    client for one question; whatever it opens is closed again.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        *,
        deadline: float,
        connect: Callable[[], httpx2.Client],
        clock: Clock,
    ) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self._connect = connect
        self._clock = clock
        self._located = endpoint
        self._located_until = 0.0

    def ask(self, conversation: Conversation) -> AccessToken:
        """Hold the conversation; raises ``TokenError``. Blocks, so call it from a thread."""
        until = time.monotonic() + self.deadline
        with self._connect() as client:
            for tries in count(1):
                try:
                    left = until - time.monotonic()
                    return run(self._hold(conversation), client, deadline=left)
                except RemoteError as fault:
                    error = TokenError.of(fault)
                self._located_until = 0.0  # it may have moved
                pause = max(error.retry_after or 0.0, _pause(tries))
                if tries == TRIES or not error.transient or time.monotonic() + pause >= until:
                    raise error
                time.sleep(pause)
        raise AssertionError("unreachable")  # pragma: no cover

    def _hold(self, conversation: Conversation) -> Flow[AccessToken]:
        if self._located_until <= time.monotonic():
            self._located = yield from self.endpoint.located()
            self._located_until = time.monotonic() + LOCATED_FOR
        return (yield from conversation(self._located, now=self._clock()))


_CHANCE = SystemRandom()


def _pause(tries: int) -> float:
    return FIRST_PAUSE * 2.0 ** (tries - 1) * _CHANCE.uniform(0.5, 1.5)
