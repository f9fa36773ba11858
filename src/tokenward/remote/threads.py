"""Sockets that keep the deadline of the thread they serve.

Law of this module: of ``httpcore2`` only the public backend interface; if ``httpx2`` should one
day no longer use the pool we give it, timeouts are per step again, and a test says so.
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from tokenward.remote.deadline import left_of


class Stream(httpcore2.NetworkStream):
    """A connection whose every operation ends in time."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, left_of(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, left_of(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = left_of(timeout, httpcore2.ConnectTimeout)
        return Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Backend(httpcore2.SyncBackend):
    """Connects to each of a host's addresses in turn, but not for longer than is left."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise httpcore2.ConnectError from exc
        fault: Exception = httpcore2.ConnectError()
        for *_, address in found:
            left = left_of(timeout, httpcore2.ConnectTimeout)
            try:
                found_at = str(address[0])
                stream = super().connect_tcp(found_at, port, left, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                fault = exc
            else:
                return Stream(stream)
        raise fault


class Transport(httpx2.HTTPTransport):
    """``httpx2``'s own, over a pool whose sockets keep the deadline."""

    def __init__(self, certificates: ssl.SSLContext, limits: httpx2.Limits) -> None:
        super().__init__(verify=certificates, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=certificates,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=Backend(),
        )
