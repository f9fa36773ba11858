"""JWK thumbprint, RFC 7638: the example of section 3.1, and what section 3.2 leaves out."""

import pytest

from tests.rfc.test_7517 import N
from tokenward.jose.keys import VerifyingKey, thumbprint

EXAMPLE = {"kty": "RSA", "n": N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_3_1_the_example():
    assert thumbprint(EXAMPLE) == THUMBPRINT
    assert VerifyingKey.from_jwk(EXAMPLE).thumbprint == THUMBPRINT


@pytest.mark.parametrize(
    "change",
    [{"kid": "other"}, {"alg": "PS256"}, {"use": "sig"}, {"x5c": ["AAAA"]}, {"d": "AAAA"}],
    ids=str,
)
def test_3_2_other_members_do_not_count(change):
    assert thumbprint({**EXAMPLE, **change}) == THUMBPRINT


@pytest.mark.parametrize("change", [{"e": "AQAC"}, {"n": N[:-1] + "x"}], ids=["e", "n"])
def test_3_2_the_required_members_count(change):
    assert thumbprint({**EXAMPLE, **change}) != THUMBPRINT


def test_3_3_the_order_of_the_members_does_not_count():
    assert thumbprint(dict(reversed(EXAMPLE.items()))) == THUMBPRINT
