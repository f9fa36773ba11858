"""A client that signs its own certificate must not be able to sign one for another client."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tokenward.server.config import ConfigError
from tokenward.server.settings import load


def signed_by_itself(ca):
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name.from_rfc4514_string("CN=own")
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if ca is not None:
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


NONE = signed_by_itself(False)
VOUCHED = """
[callers.vouched]
proof = "tls_client_auth"
tls_client_auth_san_dns = "a.example"
"""
LISTEN = """
[listen]
tls_certificate = "chain.pem"
tls_key = "key.pem"
tls_client_certificates = "optional"
tls_client_ca = "clients.pem"
"""
PLAIN = """
[listen]
tls_certificate = "chain.pem"
tls_key = "key.pem"
"""
PROXY = """
[proxy]
trusted = ["10.0.0.1"]
certificate_header = "Client-Cert"
"""


def own(*pems):
    listed = ", ".join(f"'''{pem}'''" for pem in pems)
    return f'[callers.own]\nproof = "self_signed_tls_client_auth"\ncertificates = [{listed}]\n'


def loaded(tmp_path, *tables):
    path = tmp_path / "tokenward.toml"
    path.write_text("\n".join(tables))
    return load(path, {})


@pytest.mark.parametrize("ca", [True, None])
def test_one_that_could_sign_others_is_refused_where_others_count(tmp_path, ca):
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, LISTEN, VOUCHED, own(NONE, signed_by_itself(ca)))
    (problem,) = refused.value.problems
    assert "callers.own.certificates" in problem.place
    assert "could sign certificates for vouched" in problem.message


@pytest.mark.parametrize(
    "tables",
    [
        (LISTEN, VOUCHED, own(NONE)),
        (LISTEN, own(signed_by_itself(True))),
        (PLAIN, VOUCHED, own(signed_by_itself(True))),
        (PROXY, VOUCHED),
        (PROXY, own(NONE)),
    ],
    ids=["no authority", "nobody else", "nobody is asked", "only vouched for", "only their own"],
)
def test_one_that_could_not_is_fine(tmp_path, tables):
    assert not any("certificate" in str(one) for one in loaded(tmp_path, *tables).warnings)


def test_a_proxy_for_both_is_warned_of(tmp_path):
    told = [str(one) for one in loaded(tmp_path, PROXY, VOUCHED, own(NONE)).warnings]
    (warning,) = [one for one in told if "certificate" in one]
    assert "lets anybody be vouched" in warning
    assert "optional_no_ca" in warning
