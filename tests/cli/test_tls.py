"""``[listen] tls_…``: our own TLS, and certificates of clients."""

import socket
import ssl
from http.client import HTTPException

import pytest

from tests.cli.processes import Served, certified
from tests.dev import command
from tokenward.server.__main__ import main

CA = certified("A root of ours", ca=True)
OURS = certified("127.0.0.1", CA)
FRIEND = certified("a client", CA)
SELF = certified("a client who vouches for itself")
STRANGER = certified("a stranger")
PAIR = 'tls_certificate = "ours.pem"\ntls_key = "ours.key"'


def client(*who, **versions):
    """How a client speaks: it believes our root, and shows who it is if there is somebody."""
    made = ssl.create_default_context(cadata=CA.pem.decode())
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for cert, key in who:
        made.load_cert_chain(cert, key)
    for name, version in versions.items():
        setattr(made, name, version)
    return made


@pytest.fixture
def served(tmp_path):
    OURS.write(tmp_path, "ours")
    FRIEND.write(tmp_path, "friend")
    SELF.write(tmp_path, "self")
    STRANGER.write(tmp_path, "stranger")
    (tmp_path / "believed.pem").write_bytes(CA.pem + SELF.pem)
    with Served(folder=tmp_path, scheme="https", listen=PAIR, tls=client()) as made:
        yield made


ASKED = '\ntls_client_certificates = "{}"\ntls_client_ca = "believed.pem"'


def test_it_speaks_https_and_nothing_else(served):
    served.start()
    assert f"serving on https://127.0.0.1:{served.port}" in served.err
    assert served.ask()[0] == 200
    served.tls = None
    with pytest.raises((HTTPException, OSError)):
        served.ask()
    assert served.stop() == 0
    assert served.err.count("\n") == 1, "whoever speaks no TLS is nothing to write about"


@pytest.mark.parametrize(
    ("versions", "version"),
    [
        ({"maximum_version": ssl.TLSVersion.TLSv1_2}, "TLSv1.2"),
        ({"minimum_version": ssl.TLSVersion.TLSv1_3}, "TLSv1.3"),
    ],
)
def test_the_versions_it_speaks(served, versions, version):
    served.start()
    tls = client(**versions)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", served.port)) as plain,
        tls.wrap_socket(plain, server_hostname="127.0.0.1") as spoken,
    ):
        assert spoken.version() == version
        assert spoken.selected_alpn_protocol() == "http/1.1"
        cipher = spoken.cipher()[0]
        assert "GCM" in cipher or "CHACHA20" in cipher
    assert served.stop() == 0


@pytest.mark.parametrize(
    "ciphers", ["ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384"]
)
def test_ciphers_it_does_not_speak(served, ciphers):
    served.start()
    tls = client(maximum_version=ssl.TLSVersion.TLSv1_2)
    tls.set_ciphers(ciphers)
    with (
        socket.create_connection(("127.0.0.1", served.port)) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        tls.wrap_socket(plain, server_hostname="127.0.0.1")
    assert served.stop() == 0


@pytest.mark.parametrize("who", ["friend", "self"])
@pytest.mark.parametrize("how", ["optional", "required"])
def test_a_certificate_that_somebody_vouches_for_is_taken(served, who, how):
    served.listen += ASKED.format(how)
    served.start()
    served.tls = client((served.folder / f"{who}.pem", served.folder / f"{who}.key"))
    assert served.ask()[0] == 200
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("how", "who"), [("optional", "stranger"), ("required", "stranger"), ("required", "")]
)
def test_who_shows_another_one_or_none_is_sent_away(served, how, who):
    served.listen += ASKED.format(how)
    served.start()
    served.tls = client(
        *[(served.folder / f"{who}.pem", served.folder / f"{who}.key")] if who else []
    )
    with pytest.raises((ssl.SSLError, OSError, HTTPException)):
        served.ask()
    assert served.stop() == 0


def test_without_one_a_client_is_served_where_it_is_optional(served):
    served.listen += ASKED.format("optional")
    served.start()
    assert served.ask()[0] == 200
    assert served.stop() == 0


OWN = f'proof = "self_signed_tls_client_auth"\ncertificates = ["""{SELF.pem.decode()}"""]'
VOUCHED = 'proof = "tls_client_auth"\ntls_client_auth_san_ip = "127.0.0.1"'


@pytest.mark.parametrize(
    ("proof", "who", "status"),
    [
        *((OWN, "self", 200), (OWN, "friend", 401), (OWN, "", 401)),
        # Whoever signed it wrote the name into it, and it is believed for another client.
        *((VOUCHED, "friend", 200), (VOUCHED, "self", 401), (VOUCHED, "", 401)),
    ],
    ids=["own", "another", "none", "vouched for", "vouched for by itself", "no one"],
)
def test_a_client_is_who_its_certificate_says(served, proof, who, status):
    served.listen += ASKED.format("optional")
    served.write()
    file = served.folder / "tokenward.toml"
    text = file.read_text()
    before, _, rest = text.partition("[callers.nightly]\n")
    rest = rest.split("\n", 2)[2]
    file.write_text(f"{before}[callers.nightly]\n{proof}\n{rest}")
    served.start()
    served.tls = client(
        *[(served.folder / f"{who}.pem", served.folder / f"{who}.key")] if who else []
    )
    connection = served.connection()
    connection.request(
        "POST",
        "/token",
        "grant_type=client_credentials&client_id=nightly",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert connection.getresponse().status == status
    connection.close()
    assert served.stop() == 0


def test_who_begins_and_does_not_go_on_is_cut_off(served):
    served.start()
    with socket.create_connection(("127.0.0.1", served.port), timeout=15) as half:
        half.sendall(b"\x16\x03\x01")
        assert half.recv(10) == b""
    assert served.ask()[0] == 200
    assert served.stop() == 0


def test_a_key_with_a_password(served):
    OURS.write(served.folder, "ours", password="open sesame")
    served.listen += '\ntls_key_password = "${TLS_PASSWORD}"'
    served.start(TLS_PASSWORD="open sesame")
    assert served.ask()[0] == 200
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ('tls_certificate = "ours.pem"', "tls_key: is missing"),
        ('tls_key = "ours.key"', "tls_certificate: is missing"),
        (
            'tls_client_ca = "believed.pem"\ntls_client_certificates = "optional"',
            "tls_certificate: is",
        ),
        ('tls_certificate = "none.pem"\ntls_key = "none.key"', "none.pem: No such file"),
        (
            'tls_certificate = "ours.pem"\ntls_key = "friend.key"',
            "is not the key of tls_certificate",
        ),
        ('tls_certificate = "ours.key"\ntls_key = "ours.key"', "cannot be read"),
        (
            'tls_certificate = "ours.pem"\ntls_key = "ours.key"\ntls_client_ca = "believed.pem"',
            "must be",
        ),
        (
            f'{PAIR}\ntls_client_certificates = "optional"',
            "tls_client_ca: is missing",
        ),
        (
            f'{PAIR}\ntls_client_ca = "ours.key"\ntls_client_certificates = "required"',
            "holds no certificate",
        ),
        ("workers = 0", "must be 1 to 64"),
        ("workers = 65", "must be 1 to 64"),
        ('drain = "6m"', "must be between"),
        ('tls_clint_ca = "x"', 'did you mean "tls_client_ca"'),
    ],
)
def test_what_cannot_be_is_said_before_a_port_opens(served, listen, said, monkeypatch, capsys):
    served.write(listen=listen)
    monkeypatch.chdir(served.folder)
    assert main([]) == 78
    assert said in (err := capsys.readouterr().err), err


def test_a_password_that_does_not_fit_is_said_and_not_shown(served):
    OURS.write(served.folder, "ours", password="open sesame")
    served.write(listen=served.listen + '\ntls_key_password = "${TLS_PASSWORD}"')
    ended = command("serve", cwd=served.folder, environ={"TLS_PASSWORD": "close sesame"})
    assert ended.code == 78
    assert "sesame" not in ended.err
    assert "tls_key" in ended.err
