"""How we speak TLS: with which certificate, and whose certificates we believe.

A certificate is only asked for where somebody vouches for it: this TLS library checks whatever it
is shown, so a certificate that its client signed itself has to be known to it beforehand.
"""

import ssl
from pathlib import Path

from tokenward.server.config import ConfigError, Problem
from tokenward.server.settings import TLS

# RFC 9325 §4.2: forward secrecy and authenticated encryption. TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_ASK = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def context(settings: TLS) -> ssl.SSLContext:
    """What to listen with; raises ``ConfigError`` if one of the files will not do."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(_CIPHERS)
    made.set_alpn_protocols(["http/1.1"])
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    problems = []
    for key, path in (("tls_certificate", settings.certificate), ("tls_key", settings.key)):
        if why := _unreadable(path):
            problems.append(_problem(key, f"{path}: {why}"))
    if not problems:
        try:
            # Without a password OpenSSL would ask for it at the terminal.
            made.load_cert_chain(settings.certificate, settings.key, lambda: settings.password)
        except ssl.SSLError as exc:
            problems.append(_problem("tls_key", _WHY.get(exc.reason, _NO_PEM)))
        except ValueError:
            problems.append(_problem("tls_key_password", "is not the key's"))
    if settings.client_ca:
        problems += _vouched(made, settings)
    if problems:
        raise ConfigError(problems)
    made.verify_mode = _ASK[settings.clients]
    return made


_NO_PEM = "the certificate or the key cannot be read: both are PEM, and the password must fit"
_WHY = {
    "KEY_VALUES_MISMATCH": "is not the key of tls_certificate",
    "EE_KEY_TOO_SMALL": "is too short: 2048 bits for RSA, 256 for elliptic curves",
    "CA_MD_TOO_WEAK": "belongs to a certificate signed with an algorithm that is broken",
}


def _vouched(made: ssl.SSLContext, settings: TLS) -> list[Problem]:
    """Believe those whom the file names, each for itself and for whom it signs."""
    path = settings.client_ca
    if why := _unreadable(path):
        return [_problem("tls_client_ca", f"{path}: {why}")]
    # Whatever is listed counts, be it a root, one below it, or the client's very own.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        made.load_verify_locations(cafile=path)
    except ssl.SSLError:
        return [_problem("tls_client_ca", f"{path}: holds no certificate as PEM")]
    return []


def _unreadable(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return ""
    except OSError as exc:
        return exc.strerror or "cannot be read"


def _problem(key: str, message: str) -> Problem:
    return Problem(place=f"listen.{key}", message=message)
