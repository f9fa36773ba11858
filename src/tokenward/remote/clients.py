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
from typing import Any, Self

import httpx2

import tokenward

TIMEOUT = httpx2.Timeout(connect=5.0, read=10.0, write=10.0, pool=10.0)
"""Seconds for one step; the driver's deadline is for all of them together."""

LIMITS = httpx2.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30.0)


def open_client(*, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """A client for threads; close it when done. ``transport`` is for tests and in-process calls."""
    return httpx2.Client(transport=transport or _in_time(), **_settings())


def open_async_client(
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    around: Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport] | None = None,
) -> httpx2.AsyncClient:
    """A client for one event loop; close it when done. ``around`` may see what goes out."""
    inner = transport or _WhenAsked()
    return httpx2.AsyncClient(transport=around(inner) if around else inner, **_settings())


class _WhenAsked(httpx2.AsyncBaseTransport):
    """The usual transport, made at the first request: that imports half a package."""

    _transport: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._transport is None:
            self._transport = httpx2.AsyncHTTPTransport(
                verify=Certificates(), trust_env=False, limits=LIMITS
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


class Certificates(ssl.SSLContext):
    """A stand-in for the context that has read the certificates, which it asks for when needed."""

    def __new__(cls) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def wrap_socket(self, *args: Any, **settings: Any) -> ssl.SSLSocket:
        return _context().wrap_socket(*args, **settings)

    def wrap_bio(self, *args: Any, **settings: Any) -> ssl.SSLObject:
        return _context().wrap_bio(*args, **settings)


def _context() -> ssl.SSLContext:
    return _read(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))


@lru_cache(maxsize=4)
def _read(cafile: str, capath: str) -> ssl.SSLContext:
    if cafile or capath:  # like OpenSSL: instead of the system's, and both if both are named
        try:
            context = ssl.create_default_context(cafile=cafile or None, capath=capath or None)
        except OSError as exc:
            raise UnreadableCertificates from exc
    else:
        context = httpx2.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
