"""Keys that take long to make, made once."""

import pytest

from tests.jose.forge import Forge
from tokenward.jose.keys import SigningKey


@pytest.fixture(scope="session")
def forge():
    return Forge(
        rs=SigningKey.generate("RS256", kid="rs"),
        es=SigningKey.generate("ES256", kid="es"),
        ed=SigningKey.generate("EdDSA", kid="ed"),
        ps=SigningKey.generate("PS256", kid="ps"),
        p521=SigningKey.generate("ES512", kid="p521"),
        evil_rs=SigningKey.generate("RS256", kid="rs"),
        evil_es=SigningKey.generate("ES256", kid="es"),
        evil_ed=SigningKey.generate("EdDSA", kid="ed"),
    )


@pytest.fixture(scope="session")
def signing_keys(forge):
    """One key for each algorithm; the RSA ones share theirs, which only a test may do."""
    keys = {
        name: SigningKey(
            kid=name.lower(),
            algorithm=name,
            private=forge.rs.private,
            certificate=forge.rs.certificate,
        )
        for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    }
    for name in ("ES256", "ES384", "ES512", "EdDSA", "Ed25519"):
        keys[name] = SigningKey.generate(name, kid=name.lower())
    return keys
