"""Opens the port: what is in the way is said, and nobody else's port is shared by accident."""

import errno
import socket
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress

BACKLOG = 2048
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
_WHY = {
    errno.EADDRINUSE: "another program uses it; stop that one, or choose another port",
    errno.EACCES: "this user may not; ports below 1024 are for root, so choose a higher one",
    errno.EADDRNOTAVAIL: "this machine does not have that address; 127.0.0.1 it always has",
}

# What the kernel does with a segment for this port once we turn people away: a SYN alone, the
# first of somebody new, it drops; whatever else it lets through (struct sock_filter, socket(7)).
_NOBODY_NEW = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the flags
        (0x54, 0, 0, 0x12),  # only SYN and ACK of them
        (0x15, 0, 1, 0x02),  # is it SYN alone?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
    )
)
_ATTACH_FILTER, _DETACH_FILTER = 26, 27


class CannotListen(Exception):
    """The port could not be opened, and why."""


def listen(host: str, port: int, *, beside: bool = False) -> socket.socket:
    """Open a port; 0 lets the system choose. Raises ``CannotListen``.

    The first listener makes sure that nobody else has the port. More processes of ours may then
    listen ``beside`` it, and the kernel shares the connections out.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # The protocol must be said: asyncio only sets TCP_NODELAY where it sees IPPROTO_TCP.
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as exc:
        raise CannotListen(f"Cannot listen on {host}: {exc}") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if beside:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        # Set before bind, this would let us join whoever has the port already.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        why = _WHY.get(exc.errno or 0, exc.strerror)
        raise CannotListen(f"Cannot listen on {url_of(host, port)}: {why}") from exc
    listener.setblocking(False)
    return listener


def turn_away(listener: socket.socket) -> None:
    """Let nobody new begin a connection; whoever has begun one gets through, and is to be let in.

    Closing a port resets those who got through a moment ago and wait for us to accept them. Whom
    we turn away tries again a second later, and is refused then, or finds who comes after us.
    """
    program = array("B", _NOBODY_NEW)  # has an address, and costs no import as ctypes does
    said = struct.pack("@HP", len(program) // 8, program.buffer_info()[0])
    with suppress(OSError):  # not every system can
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, said)


def welcome(listener: socket.socket) -> None:
    """Let people in again who were turned away: somebody else serves this listener now."""
    with suppress(OSError):  # nobody was
        listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


def let_in(listener: socket.socket) -> Iterator[socket.socket]:
    """Those whom the kernel has let in already: closing the port would cut them off."""
    for _ in range(BACKLOG):
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        yield connection


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    """Where a client on this machine finds us."""
    host = _ANYWHERE.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
