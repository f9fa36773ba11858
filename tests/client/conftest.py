"""What the tests of the client share: an issuer, an API, a time that is set, two ways to call."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from tests.client.standin import TLS, Api, Issuer
from tokenward.client import TokenAuth, TokenCache


class Time:
    """Two clocks that one sets: the wall's, and the one that only runs forward."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.steady = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class Sync:
    """Requests by a thread."""

    def request(self, auth, method, url, *, follow_redirects=False, **more):
        with httpx2.Client(auth=auth, follow_redirects=follow_redirects, verify=TLS) as client:
            return client.request(method, url, **more)

    def token(self, auth):
        return auth.token()


class Async:
    """The same by a task."""

    def request(self, auth, method, url, *, follow_redirects=False, **more):
        async def main():
            async with httpx2.AsyncClient(
                auth=auth, follow_redirects=follow_redirects, verify=TLS
            ) as client:
                return await client.request(method, url, **more)

        return asyncio.run(main())

    def token(self, auth):
        return asyncio.run(auth.atoken())


@pytest.fixture(params=[Sync(), Async()], ids=["sync", "async"])
def caller(request):
    return request.param


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def cache(time):
    return TokenCache(clock=lambda: time.wall, ticks=lambda: time.steady)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as api:
        yield api


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in "ISSUER", "CLIENT_ID", "CLIENT_SECRET":
        monkeypatch.delenv(f"TOKENWARD_{name}", raising=False)


@pytest.fixture
def auth(issuer, cache):
    """A client of the issuer, with a cache of its own."""
    return TokenAuth.client_credentials(
        issuer.url, "service-x", "s3cr3t", scope="itwin-platform", cache=cache
    )
