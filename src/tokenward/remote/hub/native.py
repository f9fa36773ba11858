"""A conversation with a Hub by gRPC itself: over HTTP/2, with TLS unless it is on this machine."""

import asyncio
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would print what peers say

import grpc
from grpc import aio

from tokenward.remote.clients import UnreadableCertificates
from tokenward.remote.faults import said_of
from tokenward.remote.fetch import RemoteError
from tokenward.remote.hub.exchange import (
    CANCELLED,
    LONGEST_ANSWER,
    UNAVAILABLE,
    UNKNOWN,
    HubRefused,
)
from tokenward.remote.hub.messages import PATHS

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", LONGEST_ANSWER),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
)
_ENDED = (aio.AioRpcError, aio.UsageError, asyncio.InvalidStateError, HubRefused)
"""What the library raises when somebody speaks into a call that is over."""

_PORTS = {"https": 443, "http": 80}


async def dial(url: str, metadata: Mapping[str, str]) -> "NativeLine":
    """Begin a call and say who we are; raises ``RemoteError``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    where = f"{name}:{parts.port or _PORTS[parts.scheme]}"
    if parts.scheme == "https":
        try:
            trusted = believed()
        except UnreadableCertificates as exc:
            raise RemoteError(f"{host} {said_of(exc)[0]}") from None
        channel = aio.secure_channel(where, grpc.ssl_channel_credentials(trusted), _OPTIONS)
    else:
        channel = aio.insecure_channel(where, _OPTIONS)
    call = channel.stream_stream(PATHS[0])(metadata=tuple(metadata.items()))
    return NativeLine(channel, call, host)


class NativeLine:
    """A call of a Hub's."""

    def __init__(self, channel: aio.Channel, call: Any, host: str) -> None:
        self._channel, self._call, self._host = channel, call, host

    async def say(self, message: bytes, *, last: bool = False) -> None:
        """Send a message, and whether it was the last one."""
        # If they have ended the call, whoever listens next hears why.
        with suppress(*_ENDED), self._theirs():
            await self._call.write(message)
            if last:
                await self._call.done_writing()

    async def hear(self) -> bytes:
        """The next message, or why there is none."""
        try:
            with self._theirs():
                said = await self._call.read()
        except aio.AioRpcError as exc:
            raise self._ended(exc.code()) from None
        if isinstance(said, bytes):
            return said
        raise self._ended(await self._call.code())

    async def close(self) -> None:
        """Hang up."""
        self._call.cancel()
        await self._channel.close()

    @contextmanager
    def _theirs(self) -> Iterator[None]:
        """Where they say that the call is cancelled, the library cancels us, who are not."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise HubRefused(self._host, CANCELLED) from None

    def _ended(self, code: grpc.StatusCode) -> RemoteError:
        number: Any = code.value[0]
        if number == UNAVAILABLE:
            # Said by our own side, too, of whom nobody can reach.
            why = f"{self._host} cannot be reached, or its certificate is not trusted here"
            return RemoteError(why, transient=True, code="temporarily_unavailable")
        return HubRefused(self._host, number if isinstance(number, int) else UNKNOWN)


def believed() -> bytes:
    """The certificates of those whom we believe, as PEM: the same as for every other upstream."""
    return _read(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))


@lru_cache(maxsize=4)
def _read(cafile: str, capath: str) -> bytes:
    if not (cafile or capath):
        paths = ssl.get_default_verify_paths()
        if Path(paths.openssl_cafile).is_file():
            cafile = paths.openssl_cafile
        else:
            capath = paths.openssl_capath
    try:
        found = [Path(cafile).read_bytes()] if cafile else []
        if capath:
            files = (one for one in sorted(Path(capath).iterdir()) if one.is_file())
            found.append(b"\n".join(one.read_bytes() for one in files))
    except OSError as exc:
        raise UnreadableCertificates from exc
    if not all(b"-----BEGIN" in one for one in found):
        raise UnreadableCertificates
    return b"\n".join(found)
