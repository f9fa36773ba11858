"""The transport under an answer while its request is still coming in; it never hangs up.

Closing with something unread would make the kernel reset the connection, and the client might lose
the answer (RFC 9112 §9.6).
"""

import asyncio
from collections.abc import Callable


class Polite(asyncio.Transport):
    """Writes like the transport, and takes its leave where that would close."""

    def __init__(self, transport: asyncio.Transport, leave: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._leave = leave

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._leave()
