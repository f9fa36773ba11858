"""Tests of the server: nobody waits for RSA keys to be made."""

import pytest


@pytest.fixture(autouse=True)
def _few_rsa_keys(dealt):
    """Each issuer of a test would make two of its own."""
