"""Talking to a hub as Textile's clients do: a WebSocket, and gRPC-web on it."""

import asyncio
import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress

from bench.asking import PATIENCE, Wrong
from tokenward.jose.identity import PrivateKey

_MASK = b"\x12\x34\x56\x78"
_BINARY, _CLOSE = 2, 8
_CHALLENGE, _TOKEN = 0x0A, 0x12
_END = b"\x01"


async def talk(port: int, path: str, metadata: Mapping[str, str], key: PrivateKey) -> str:
    """The token that this key gets, in one conversation; raises ``Wrong``."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await _talk(reader, writer, path, metadata, key)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, EOFError, TimeoutError) as problem:
        raise Wrong(f"the hub fell silent: {problem!r}") from None


async def _talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    metadata: Mapping[str, str],
    key: PrivateKey,
) -> str:
    nonce = b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
        "Sec-WebSocket-Protocol: grpc-websockets\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise Wrong(f"no WebSocket: {head[:100]!r}")
    block = "".join(f"{name}: {value}\r\n" for name, value in metadata.items()).encode()
    writer.write(_framed(block) + _framed(_message(1, key.public.text.encode())))
    token = ""
    while True:
        opcode, payload = await _frame(reader)
        if opcode == _CLOSE:
            writer.write(_framed(payload, _CLOSE))
            await reader.read()
            return token
        said = payload[5:]
        if payload[0] & 0x80:
            if b"grpc-status: 0" not in said:
                raise Wrong(f"refused: {said[:100]!r}")
        elif said[0] == _CHALLENGE:
            writer.write(_framed(_message(2, key.sign(said[2:]))) + _framed(_END))
        elif said[0] == _TOKEN:
            begins = next(at for at in range(1, 6) if said[at] < 0x80) + 1  # noqa: PLR2004
            token = said[begins:].decode()


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, length = await reader.readexactly(2)
    if length == 126:  # noqa: PLR2004  RFC 6455 §5.2
        length = int.from_bytes(await reader.readexactly(2), "big")
    return first & 0x0F, await reader.readexactly(length)


def _framed(payload: bytes, opcode: int = _BINARY) -> bytes:
    size = len(payload)
    head = bytes([size | 0x80]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")  # noqa: PLR2004
    body = bytes(byte ^ _MASK[place % 4] for place, byte in enumerate(payload))
    return bytes([0x80 | opcode]) + head + _MASK + body


def _message(number: int, value: bytes) -> bytes:
    """One field of protobuf, as gRPC-web frames it."""
    size, length = len(value), b""
    while size > 0x7F:  # noqa: PLR2004
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    said = bytes([number << 3 | 2]) + length + bytes([size]) + value
    return b"\0\0" + len(said).to_bytes(4, "big") + said
