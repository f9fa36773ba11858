"""Opens the port: what is in the way is said, and nobody else's port is shared by accident."""

import errno
import socket

BACKLOG = 2048
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
_WHY = {
    errno.EADDRINUSE: "another program uses it; stop that one, or choose another port",
    errno.EACCES: "this user may not; ports below 1024 are for root, so choose a higher one",
    errno.EADDRNOTAVAIL: "this machine does not have that address; 127.0.0.1 it always has",
}


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


def url_of(host: str, port: int, *, tls: bool = False) -> str:
    """Where a client on this machine finds us."""
    host = _ANYWHERE.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
