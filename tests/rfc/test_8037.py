"""Ed25519 in JOSE, RFC 8037: the examples of appendix A, also by the name RFC 9864 gave it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tokenward.jose.jws import decode, parse
from tokenward.jose.keys import KeySet, SigningKey, UnusableKey, VerifyingKey, thumbprint

D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
PUBLIC = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


@pytest.fixture
def private():
    return Ed25519PrivateKey.from_private_bytes(decode(D))


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_a1_and_a2_the_private_key_belongs_to_the_public_one(private, algorithm):
    document = SigningKey(kid="", algorithm=algorithm, private=private).public_jwk()
    assert document == {**PUBLIC, "use": "sig", "alg": algorithm}


def test_a1_the_private_key_is_not_for_publishing():
    with pytest.raises(UnusableKey, match="secret"):
        VerifyingKey.from_jwk({**PUBLIC, "d": D})


def test_a3_the_thumbprint():
    assert thumbprint(PUBLIC) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert VerifyingKey.from_jwk(PUBLIC).thumbprint == thumbprint(PUBLIC)


def test_a4_signing_gives_the_example(private):
    signed, _, signature = TOKEN.rpartition(".")
    assert private.sign(signed.encode()) == decode(signature)
    key = SigningKey(kid="", algorithm="EdDSA", private=private)
    token = key.sign({"x": 1}, typ="")
    assert token.startswith("eyJhbGciOiJFZERTQSJ9.")
    assert parse(token).signature == private.sign(parse(token).signed)


def test_a5_the_example_verifies():
    compact = parse(TOKEN)
    assert compact.payload == b"Example of Ed25519 signing"
    for alg in ("EdDSA", "Ed25519"):
        (key,) = KeySet.parse({"keys": [PUBLIC]}).find(None, alg)
        assert key.verify(compact.signed, compact.signature)
        assert not key.verify(compact.signed + b"x", compact.signature)


def test_a6_x25519_is_for_encryption():
    jwk = {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}
    with pytest.raises(UnusableKey, match="kind we do not know"):
        VerifyingKey.from_jwk(jwk)
