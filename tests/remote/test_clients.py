"""Certificates come from the system or from where SSL_CERT_FILE and SSL_CERT_DIR say."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import Issuer
from tokenward.remote import clients
from tokenward.remote.deadline import no_later_than
from tokenward.remote.fetch import (
    RemoteError,
    arun,
    json_object,
    open_async_client,
    open_client,
    run,
)


def ask(url):
    response = yield httpx2.Request("GET", url)
    return json_object(response)


def fetch(url, **limits):
    with open_client() as client:
        return run(ask(url), client, **limits)


async def afetch(url, **limits):
    async with open_async_client() as client:
        return await arun(ask(url), client, **limits)


@pytest.fixture(params=["threads", "event loop"])
def get(request):
    if request.param == "threads":
        return fetch
    return lambda url, **limits: asyncio.run(afetch(url, **limits))


class Authority:
    """A certificate authority nobody but this test knows."""

    def __init__(self, folder):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.folder = folder
        self.certificate = self._sign(self.name, self.key.public_key(), ca=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public, *, ca, host=""):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if ca:
            usage = x509.KeyUsage(*[False] * 5, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if host:
            name = (
                x509.IPAddress(ipaddress.ip_address(host))
                if host == "127.0.0.1"
                else x509.DNSName(host)
            )
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def server_context(self, host="127.0.0.1"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        file = self.folder / f"{host}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + self._sign(subject, key.public_key(), ca=False, host=host).public_bytes(
                serialization.Encoding.PEM
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def https_issuer(authority, key):
    with Issuer(key, tls=authority.server_context()).serving() as issuer:
        yield issuer


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def test_a_certificate_nobody_vouches_for_is_refused(https_issuer, get):
    with pytest.raises(RemoteError, match="certificate that is not trusted here") as caught:
        get(https_issuer.jwks_uri)
    assert not caught.value.transient
    assert https_issuer.asked == []


def test_the_authority_in_ssl_cert_file_is_trusted(https_issuer, authority, get, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert get(https_issuer.jwks_uri)["keys"]


def test_the_authority_in_ssl_cert_dir_is_trusted(https_issuer, authority, get, monkeypatch):
    folder = authority.folder / "hashed"
    folder.mkdir(exist_ok=True)
    subject = subprocess.run(
        ["/usr/bin/openssl", "x509", "-hash", "-noout", "-in", str(authority.file)],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    (folder / f"{subject}.0").write_bytes(authority.file.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert get(https_issuer.jwks_uri)["keys"]


def test_a_certificate_for_another_host_is_refused(authority, key, get, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with Issuer(key, tls=authority.server_context("other.example")).serving() as issuer:
        with pytest.raises(RemoteError, match="certificate that is not trusted here"):
            get(issuer.jwks_uri)
        assert issuer.asked == []


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_without_certificates_is_said_to_be_the_trouble(
    https_issuer, get, monkeypatch, tmp_path, content
):
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(RemoteError, match="SSL_CERT_FILE") as caught:
        get(https_issuer.jwks_uri)
    assert not caught.value.transient


def test_a_handshake_that_never_ends_is_late(get):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        started = time.monotonic()
        with pytest.raises(RemoteError, match="in time"):
            get(url, deadline=0.3)
        assert time.monotonic() - started < 2


def test_plain_http_behind_an_https_url_is_an_error(get):
    def answer():
        with server.accept()[0] as connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(9_999)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RemoteError, match="does not speak TLS"):
            get(f"https://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_opening_clients_reads_no_certificates():
    program = """
import ssl
from tokenward.remote import clients
from tokenward.remote.deadline import no_later_than
def no(*_, **__): raise SystemExit("read")
ssl.SSLContext.load_verify_locations = ssl.SSLContext.load_default_certs = no
clients.open_client().close()
clients.open_async_client()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_certificates_are_read_once():
    assert clients.believing() is clients.believing()


def test_nothing_old_is_spoken():
    context = clients.believing()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_the_stand_in_checks_what_the_real_one_checks():
    stand_in = clients.Certificates()
    assert stand_in.check_hostname
    assert stand_in.verify_mode == ssl.CERT_REQUIRED


def test_another_address_of_the_host_is_tried(issuer, monkeypatch):
    port = int(issuer.origin.rpartition(":")[2])
    real = socket.getaddrinfo

    def two_addresses(host, *rest, **more):
        if host == "two.example":
            return [*real("127.0.0.2", *rest, **more), *real("127.0.0.1", *rest, **more)]
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    assert fetch(f"http://two.example:{port}/jwks")["keys"]


def test_after_the_deadline_no_socket_is_touched(issuer):
    with open_client() as client, no_later_than(0.0), pytest.raises(httpx2.TimeoutException):
        client.get(issuer.jwks_uri)
    assert issuer.asked == []


def test_deadlines_of_threads_are_their_own(issuer):
    issuer.behaviour["/hung"] = "hang"
    errors = []

    def impatient():
        try:
            fetch(f"{issuer.origin}/hung", deadline=0.1)
        except RemoteError as exc:
            errors.append(exc)

    thread = threading.Thread(target=impatient)
    thread.start()
    assert fetch(issuer.jwks_uri)
    thread.join()
    assert len(errors) == 1
