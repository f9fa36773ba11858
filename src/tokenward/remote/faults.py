"""What it says about a host that talking to it failed, and whether that may pass."""

import ssl
import zlib
from socket import gaierror

import httpx2

from tokenward.remote.clients import UnreadableCertificates, UnreadableIdentity

# Exceptions, what they say about the host, and whether that may pass.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], str, bool], ...] = (
    (
        (UnreadableCertificates,),
        "needs certificates, and SSL_CERT_FILE or SSL_CERT_DIR has none to read",
        False,
    ),
    ((UnreadableIdentity,), "wants to see our certificate, which cannot be read", False),
    ((ssl.SSLCertVerificationError,), "has a certificate that is not trusted here", False),
    ((ssl.SSLError,), "does not speak TLS with us", True),
    ((gaierror,), "is a name that cannot be looked up", True),
    ((ConnectionRefusedError,), "refuses connections", True),
    (
        (UnicodeError, httpx2.InvalidURL, httpx2.UnsupportedProtocol),
        "is not an address we can connect to",
        False,
    ),
    ((zlib.error,), "answered something that cannot be unpacked", False),
)


def said_of(fault: BaseException) -> tuple[str, bool]:
    """What goes after the name of the host, and whether the same request may succeed later."""
    exc: BaseException | None = fault
    while exc is not None:
        for types, said, transient in _KINDS:
            if isinstance(exc, types):
                return said, transient
        exc = exc.__cause__ or exc.__context__
    return "hung up, or answered something that is not HTTP", True
