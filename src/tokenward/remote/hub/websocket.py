"""A conversation with a Hub, by gRPC-web over a WebSocket, as Textile's JavaScript clients have it.

What goes out: a block of headers, then messages behind a byte ``00``, then the byte ``01``. What
comes in: frames of gRPC-web in pieces of any size; one with flag ``80`` has headers, or says how
the call ended.
"""

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from tokenward.remote.clients import believing
from tokenward.remote.faults import said_of
from tokenward.remote.fetch import RemoteError
from tokenward.remote.hub.exchange import LONGEST_ANSWER, UNKNOWN, HubRefused
from tokenward.remote.hub.messages import PATHS

SUBPROTOCOL = Subprotocol("grpc-websockets")
HEADERS = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}

_MESSAGE, _END = b"\0", b"\1"
_DATA, _TRAILERS = 0x00, 0x80
_PREFIX = 5
_MOST_BLOCKS = 4
_SERVER_ERROR = 500
_LONGEST_STATUS = 3

_silent = logging.Logger("tokenward.remote.hub", logging.CRITICAL + 1)  # noqa: LOG001
"""The library tells its log of every frame, and in ours there are signatures and tokens."""


class _Connect(connect):
    """Follows no redirect: nobody but the Hub itself is told who we are."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def dial(url: str, metadata: Mapping[str, str]) -> "WebSocketLine":
    """Connect and say who we are; raises ``RemoteError``."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    scheme = "wss" if secure else "ws"
    where = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + PATHS[0], "", ""))
    try:
        socket = await _Connect(
            where,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            proxy=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=0.5,
            max_size=LONGEST_ANSWER,
            logger=_silent,
            ssl=believing() if secure else None,
        )
    except InvalidStatus as exc:
        status = exc.response.status_code
        said = f"{host} answered {status} to a WebSocket"
        raise RemoteError(said, status=status, transient=status >= _SERVER_ERROR) from None
    except InvalidHandshake:
        raise RemoteError(f"{host} does not speak WebSocket") from None
    except TimeoutError:
        raise
    except (OSError, EOFError) as exc:
        said, transient = said_of(exc)
        raise RemoteError(f"{host} {said}", transient=transient) from None
    line = WebSocketLine(socket, host)
    if socket.subprotocol != SUBPROTOCOL:
        await line.close()
        raise RemoteError(f"{host} speaks WebSocket, but not gRPC-web over it")
    block = "".join(f"{name}: {value}\r\n" for name, value in {**metadata, **HEADERS}.items())
    await line.send(block.encode())
    return line


class WebSocketLine:
    """A WebSocket to a Hub."""

    def __init__(self, socket: ClientConnection, host: str) -> None:
        self._socket, self._host = socket, host
        self._heard = bytearray()
        self._bytes = self._blocks = 0

    async def say(self, message: bytes, *, last: bool = False) -> None:
        """Send a message, and whether it was the last one."""
        await self.send(_MESSAGE + bytes([_DATA]) + len(message).to_bytes(4, "big") + message)
        if last:
            await self.send(_END)

    async def send(self, frame: bytes) -> None:
        """Send a frame; raises ``RemoteError``."""
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            # They may have said why before they hung up: whoever listens next hears it.
            if not self._heard and self._socket.close_code is None:
                raise self._hung_up() from None

    async def hear(self) -> bytes:
        """The next message, or why there is none."""
        while True:
            await self._until(_PREFIX)
            flag, length = self._heard[0], int.from_bytes(self._heard[1:_PREFIX], "big")
            if flag not in (_DATA, _TRAILERS) or length > LONGEST_ANSWER:
                raise RemoteError(f"{self._host} said something that is not gRPC-web")
            await self._until(_PREFIX + length)
            said = bytes(self._heard[_PREFIX : _PREFIX + length])
            del self._heard[: _PREFIX + length]
            if flag == _DATA:
                return said
            self._ended(said)

    async def close(self) -> None:
        """Hang up, without waiting for them to."""
        self._socket.transport.abort()

    async def _until(self, size: int) -> None:
        """Wait until that many bytes are there."""
        while len(self._heard) < size:
            try:
                frame = await self._socket.recv()
            except ConnectionClosed:
                raise self._hung_up() from None
            if isinstance(frame, str):
                raise RemoteError(f"{self._host} said something that is not gRPC-web")
            self._bytes += len(frame)
            if self._bytes > LONGEST_ANSWER:
                raise RemoteError(f"{self._host} said more than {LONGEST_ANSWER} bytes")
            self._heard += frame

    def _ended(self, block: bytes) -> None:
        """Read headers, or raise what trailers say; of the first ones there are not many."""
        self._blocks += 1
        for line in block.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"grpc-status":
                number = value.strip()
                known = number.isdigit() and len(number) <= _LONGEST_STATUS
                raise HubRefused(self._host, int(number) if known else UNKNOWN)
        if self._blocks > _MOST_BLOCKS:
            raise RemoteError(f"{self._host} said something that is not gRPC-web")

    def _hung_up(self) -> RemoteError:
        return RemoteError(f"{self._host} hung up", transient=True)
