"""An assertion as a grant (RFC 7523 §2.1)."""

import pytest

from tests.world import SECRET

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def test_an_assertion_of_a_trusted_issuer_is_a_grant(world):
    answer = await world.token(
        auth=None, grant_type=JWT_BEARER, assertion=world.user_token(), audience="itwin"
    )
    assert answer.status_code == 200
    assert "issued_token_type" not in answer.json()


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": ...}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"sub": ...}, "invalid_grant"),
        ({"aud": ...}, "invalid_grant"),
        ({"aud": "https://somebody.else"}, "invalid_grant"),
        ({"iss": "https://somebody.else"}, "invalid_grant"),
        ({"nbf": 32503680000}, "invalid_grant"),
        ({"permissions": []}, "invalid_target"),
    ],
)
async def test_3_an_assertion_with_a_fault_is_not(world, claims, error):
    answer = await world.token(
        auth=None, grant_type=JWT_BEARER, assertion=world.user_token(**claims)
    )
    assert answer.json()["error"] == error


async def test_the_assertion_is_required_and_the_client_must_be_registered_for_it(world):
    missing = await world.token(auth=None, grant_type=JWT_BEARER)
    assert missing.json()["error"] == "invalid_request"
    other = await world.token(
        auth=("lazy", SECRET), grant_type=JWT_BEARER, assertion=world.user_token()
    )
    assert other.json()["error"] == "unauthorized_client"
