"""An issuer whose tokens are verified, and its key."""

import pytest

from tests.servers import Issuer
from tokenward.jose.keys import SigningKey


@pytest.fixture(scope="session")
def key():
    return SigningKey.generate("ES256", kid="first")


@pytest.fixture(scope="session")
def other_key():
    return SigningKey.generate("ES256", kid="second")


@pytest.fixture
def issuer(key):
    with Issuer(key).serving() as issuer:
        yield issuer
