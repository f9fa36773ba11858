"""What a proxy says about the client: addresses (X-Forwarded-For), certificates (RFC 9440)."""

from base64 import b64encode
from binascii import a2b_base64
from ipaddress import ip_address
from ssl import PEM_cert_to_DER_cert
from urllib.parse import quote

from tokenward.server.http import Received
from tokenward.server.proxy import Proxy, certificate_in, networks

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
OURS = "10.0.0.1"
PROXY = Proxy(trusted=networks(["10.0.0.0/8", "fd00::/8"]), certificate_header=b"client-cert")

SEEDS = (
    b":" + b64encode(b"\x30\x03\x02\x01\x01") + b":",
    quote(PEM, safe="").encode(),
    quote(PEM * 2, safe="").encode(),
    b"198.51.100.7, 10.0.0.2",
    b"[2001:db8::1]:443, ::ffff:10.0.0.3",
    b"unknown, 10.0.0.2:80",
)
WORDS = (b":", b"::", b"==", b"%0A", b"%00", b"%FF", b"-----", b"[", b"]", b", ", b"10.0.0.9", b"%")


def attempt(data: bytes) -> None:
    text = data.decode("latin-1")
    if certificate := certificate_in(text):
        assert certificate.isascii()
        assert certificate.count("-----BEGIN CERTIFICATE-----") == 1
        assert certificate.startswith("-----BEGIN CERTIFICATE-----")
        assert certificate.endswith("-----END CERTIFICATE-----\n")
        if text.startswith(":"):
            der = PEM_cert_to_DER_cert(certificate)
            assert a2b_base64(text[1:-1]) == der
    headers = [(b"x-forwarded-for", line) for line in data.split(b"\n")]
    received = Received("GET", "/", headers=headers, address=OURS)
    told = PROXY.told(received)
    one = received._replace(headers=[(b"x-forwarded-for", data.replace(b"\n", b","))])
    assert PROXY.told(one).address == told.address, "several lines are one list"
    ip_address(told.address)
    assert told.certificate == "", "there was no such header"
    stranger = received._replace(address="192.0.2.1")
    assert PROXY.told(stranger) is stranger, "anybody can write these"
