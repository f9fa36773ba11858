"""Everybody who can show who they are, as a configuration says it, and a certificate to show.

Law: a rule each lets them have the same token, and nothing else.
"""

import json
import os
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from string import Template

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_NAME = "spiffe://example.org/jobs/nightly"

PROXY = """
[proxy]
trusted            = ["127.0.0.1"]
certificate_header = "Client-Cert"
"""

CALLERS = Template("""
[issuers.shared]
url               = "http://127.0.0.1:$port/shared"
client_secret_jwt = true
[issuers.hub]
url     = "http://127.0.0.1:$port/hub"
profile = "hub"

[callers.partner]
proof         = "introspection"
issuer        = "$neighbour"
client_id     = "$us"
client_secret = "$${UPSTREAM_SECRET}"
audience      = "$us"
token_prefix  = "ptn_"
default       = "platform"
[callers.scripts]
proof   = "api_key"
default = "platform"
[callers.friends]
proof   = "key"
keys    = [$keys]
default = "platform"
[callers.app]
proof  = "hub_key"
key    = "$hub_key"
secret = "$${HUB_SECRET}"
$signers
[callers.shared]
proof   = "client_secret_jwt"
secrets = ["$${SHARED_SECRET}"]

[tokens.threads]
from     = "hub"
audience = "threads"
lifetime = "1h"

[[allow]]
name   = "people of the hub's application"
caller = "app"
token  = "threads"
""")

BY_CERTIFICATE = """
[callers.jobs]
proof       = "certificate"
authorities = "${AUTHORITY}"
san_uri     = "spiffe://example.org/jobs/*"
default     = "platform"
[callers.machine]
proof                   = "tls_client_auth"
tls_client_auth_san_uri = "spiffe://example.org/jobs/nightly"
"""

SIGNER = Template("""
[callers.$name]
proof = "private_key_jwt"
keys  = { keys = [$key] }
""")

RULE = Template("""
[[allow]]
name   = "the platform for $caller"
caller = "$caller"
token  = "platform"
scope  = "itwin-platform"
""")


def rules(*callers: str) -> str:
    return "".join(RULE.substitute(caller=it) for it in callers)


def inline(jwk: dict[str, object]) -> str:
    """A JWK as a table in one line."""
    return "{ " + ", ".join(f"{name} = {json.dumps(it)}" for name, it in jwk.items()) + " }"


def certificate() -> tuple[str, str]:
    """A certificate as a proxy passes it on, and its authority as PEM."""
    signing, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
    held = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nightly")])
    begins = datetime.now(UTC) - timedelta(hours=1)
    ends = begins + timedelta(days=2)

    def about(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(int.from_bytes(os.urandom(8), "big") >> 1)
            .not_valid_before(begins)
            .not_valid_after(ends)
        )

    authority = (
        about(name, signing.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(signing, hashes.SHA256())
    )
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_NAME)])
    one = about(held, key.public_key()).add_extension(uri, critical=False)
    one = one.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    shown = one.sign(signing, hashes.SHA256()).public_bytes(Encoding.DER)
    return f":{b64encode(shown).decode()}:", authority.public_bytes(Encoding.PEM).decode()
