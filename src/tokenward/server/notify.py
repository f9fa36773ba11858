"""Tells systemd how we are: ``Type=notify`` (sd_notify(3)). Anywhere else it tells nobody."""

import os
import socket
import time
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """What is said before a reload; ``READY`` is said after it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}"


def notify(state: str) -> None:
    """Tell whoever started us, if they want to know; nothing is raised if they are gone."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a socket without a file
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):
        out.sendto(state.encode(), address)
