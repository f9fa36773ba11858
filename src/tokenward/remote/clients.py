"""How we connect: the system's certificates, short timeouts, small pools, nothing remembered.

The environment decides about certificates alone (``SSL_CERT_FILE``, ``SSL_CERT_DIR``); proxies,
``.netrc`` and cookies are ignored, and no redirect is followed. Certificates are read when the
first handshake needs them, because that takes longer than everything else here together.
"""

import os
import ssl
from collections.abc import Callable
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx2

import tokenward

TIMEOUT = httpx2.Timeout(connect=5.0, read=10.0, write=10.0, pool=10.0)
"""Seconds for one step; the driver's deadline is for all of them together."""

LIMITS = httpx2.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30.0)


class Identity(NamedTuple):
    """A certificate of ours to be shown (RFC 8705 §2), and its key: PEM files both of them.

    Those between the certificate and its root stand below it, and the key has no password. A
    handshake that finds them changed reads them anew.
    """

    certificate: str
    key: str

    def fault(self) -> tuple[str, str] | None:
        """Which of the two will not do, and why; ``None`` if they belong together."""
        for name, path in zip(self._fields, self, strict=True):
            try:
                Path(path).open("rb").close()
            except OSError as exc:
                return name, f"cannot be read: {exc.strerror}"
        try:
            _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self)
        except ssl.SSLError as exc:
            if exc.reason == "KEY_VALUES_MISMATCH":
                return "key", "is not the key of the certificate"
            return "certificate", "and the key are not both PEM, or too weak"
        except ValueError:
            return "key", "has a password"
        return None


def open_client(*, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """A client for threads; close it when done. ``transport`` is for tests and in-process calls."""
    return httpx2.Client(transport=transport or _in_time(), **_settings())


def open_async_client(
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    around: Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport] | None = None,
    identity: Identity | None = None,
) -> httpx2.AsyncClient:
    """A client for one event loop; close it when done. ``around`` may see what goes out.

    Every server that asks for a certificate is shown the ``identity``.
    """
    inner = transport or _WhenAsked(identity)
    return httpx2.AsyncClient(transport=around(inner) if around else inner, **_settings())


class _WhenAsked(httpx2.AsyncBaseTransport):
    """The usual transport, made at the first request: that imports half a package."""

    def __init__(self, identity: Identity | None) -> None:
        self._identity = identity
        self._transport: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._transport is None:
            self._transport = httpx2.AsyncHTTPTransport(
                verify=Certificates(self._identity), trust_env=False, limits=LIMITS
            )
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        if self._transport is not None:
            await self._transport.aclose()


def _in_time() -> httpx2.BaseTransport:
    # Here, because it is half of all that importing this package would take.
    from tokenward.remote.threads import Transport  # noqa: PLC0415

    return Transport(Certificates(), LIMITS)


def _settings() -> dict[str, Any]:
    return {
        "headers": {"User-Agent": f"tokenward/{tokenward.__version__}"},
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        "timeout": TIMEOUT,
        "follow_redirects": False,
        "trust_env": False,
    }


class UnreadableCertificates(OSError):
    """``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names something that holds no certificates."""


class UnreadableIdentity(OSError):
    """The certificate that we are to show, or its key, can no longer be read."""


class Certificates(ssl.SSLContext):
    """A stand-in for the context that has read the certificates, which it asks for when needed."""

    identity: Identity | None

    def __new__(cls, identity: Identity | None = None) -> Self:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made.identity = identity
        return made

    def wrap_socket(self, *args: Any, **settings: Any) -> ssl.SSLSocket:
        return believing(self.identity).wrap_socket(*args, **settings)

    def wrap_bio(self, *args: Any, **settings: Any) -> ssl.SSLObject:
        return believing(self.identity).wrap_bio(*args, **settings)


def believing(identity: Identity | None = None) -> ssl.SSLContext:
    """What we believe, and show; raises ``UnreadableCertificates`` or ``UnreadableIdentity``."""
    try:
        written = [] if identity is None else [Path(path).stat().st_mtime_ns for path in identity]
    except OSError as exc:
        raise UnreadableIdentity from exc
    cafile, capath = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    return _read(cafile, capath, identity, *written)


@lru_cache(maxsize=16)
def _read(
    cafile: str,
    capath: str,
    identity: Identity | None,
    *written: int,  # noqa: ARG001 - when, so that what has changed is read anew
) -> ssl.SSLContext:
    if cafile or capath:  # like OpenSSL: instead of the system's, and both if both are named
        try:
            context = ssl.create_default_context(cafile=cafile or None, capath=capath or None)
        except OSError as exc:
            raise UnreadableCertificates from exc
    else:
        context = httpx2.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if identity is not None:
        try:
            _show(context, identity)
        except (OSError, ValueError) as exc:
            raise UnreadableIdentity from exc
    return context


def _show(context: ssl.SSLContext, identity: Identity) -> None:
    # Without a password OpenSSL would ask for it at the terminal.
    context.load_cert_chain(identity.certificate, identity.key, lambda: "")
