"""Our own client, which signs, against our own server."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.clients.served import SIGNER
from tokenward.client import Credentials, TokenAuth, TokenCache, TokenEndpoint, TokenError
from tokenward.jose.keys import SigningKey

PEM = SIGNER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
KEY = SigningKey.from_pem(PEM, kid="a")


def test_a_key_is_enough(tokenward):
    for audience in ("reports", "archive"):
        auth = TokenAuth.client_credentials(
            tokenward.issuer(), "strict", key=KEY, audience=audience, cache=TokenCache()
        )
        if audience == "archive":  # no rule gives it that one, whoever it proves to be
            with pytest.raises(TokenError, match=r"access_denied|invalid_target"):
                auth.token()
            continue
        token = auth.token()
        tokenward.server.ledger.token("a token of our own client", str(token))
        assert str(token.scope) == "reports:read"


@pytest.mark.parametrize(
    ("client", "key", "aud"),
    [
        ("strict", SigningKey.generate("ES256", kid="a"), ""),
        ("strict", KEY, "{issuer}/token"),
        ("strict", KEY, "{issuer}/"),
        ("hmac", KEY, ""),
        ("nobody", KEY, ""),
    ],
    ids=["another key", "for the endpoint", "with a slash", "another way", "nobody"],
)
def test_near_misses_are_refused(tokenward, client, key, aud):
    issuer = tokenward.issuer()
    credentials = Credentials(
        client_id=client, method="private_key_jwt", key=key, aud=aud.format(issuer=issuer)
    )
    endpoint = TokenEndpoint(issuer=issuer, credentials=credentials)
    auth = TokenAuth.client_credentials(endpoint, audience="reports", cache=TokenCache())
    with pytest.raises(TokenError, match="invalid_client"):
        auth.token()
