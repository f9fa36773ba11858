"""The places where an identity may be, in their order, and the two drivers that ask them.

What somebody has laid out for us comes first, then what the job or the pod has, then the machine's.
"""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256

from tokenward.client.ambient import (
    Found,
    Here,
    NotHere,
    Place,
    aws,
    azure,
    federated,
    github,
    given,
    google,
    kubernetes,
)
from tokenward.client.errors import TokenError
from tokenward.remote.fetch import RemoteError, arun, open_async_client, open_client, run
from tokenward.remote.flow import Flow

PLACES: tuple[Place, ...] = (
    *given.PLACES,
    github.PLACE,
    kubernetes.PLACE,
    *federated.PLACES,
    google.PLACE,
    azure.PLACE,
    aws.PLACE,
)


def identity_token(
    audience: str, *, here: Here | None = None, places: Sequence[Place] = PLACES
) -> str:
    """The token by which this program can prove who it is to ``audience``.

    Raises ``TokenError``: where it should be and something is wrong, or that it is nowhere, with
    every place that was looked at and what to do. Waits as long as the place may take, ten seconds
    at most, and asks nobody unless the environment says that we are there.
    """
    search = _Search(here or Here(environ=os.environ), audience)
    for place in places:
        with search.told(place):
            answer = search.look(place)
            if not isinstance(answer, str | NotHere):
                with open_client() as client:
                    answer = run(answer, client, deadline=place.deadline)
        if isinstance(answer, str):
            return answer
        search.nothing(place, answer)
    raise search.error()


async def aidentity_token(
    audience: str, *, here: Here | None = None, places: Sequence[Place] = PLACES
) -> str:
    """As ``identity_token``, for tasks."""
    search = _Search(here or Here(environ=os.environ), audience)
    for place in places:
        with search.told(place):
            answer = search.look(place)
            if not isinstance(answer, str | NotHere):
                async with open_async_client() as client:
                    answer = await arun(answer, client, deadline=place.deadline)
        if isinstance(answer, str):
            return answer
        search.nothing(place, answer)
    raise search.error()


class _Search:
    """What one search has seen so far, for the error at its end."""

    def __init__(self, here: Here, audience: str) -> None:
        if not audience:
            raise ValueError("an identity needs an audience: whom it is to be shown to")
        self._here = here
        self._audience = audience
        self._nothing: list[str] = []

    def look(self, place: Place) -> Found | Flow[Found]:
        return place.identity(self._here, self._audience)

    @contextmanager
    def told(self, place: Place) -> Iterator[None]:
        """Say of an error at which place it happened."""
        try:
            yield
        except RemoteError as fault:
            error = TokenError.of(fault)
            error.reason = f"the identity of {place.name}: {fault.reason}"
            raise error from None

    def nothing(self, place: Place, answer: NotHere) -> None:
        self._nothing.append(f"{place.name}: {answer.why} ({answer.remedy})")

    def error(self) -> TokenError:
        return TokenError(
            f"this program has no identity to show to {self._audience}. Looked at:\n  "
            + "\n  ".join(self._nothing)
        )


def fingerprint(here: Here, places: Sequence[Place] = PLACES) -> str:
    """What tells one identity from another before anybody is asked, as a hash.

    For memories that several jobs, users or machines share: whoever has other variables, other
    files or another machine is somebody else, even if it should turn out to be the same one.
    """
    seen: list[object] = [platform.node()]
    for place in places:
        seen.append(place.name)
        for name in place.variables:
            value = here.variable(name)
            seen.append([name, value])
            if value and name.endswith("_FILE"):
                with suppress(TokenError):
                    seen.append(here.file(value))
        for path in place.files:
            with suppress(TokenError):
                seen.append(here.system(path))
    return sha256(json.dumps(seen).encode()).hexdigest()
