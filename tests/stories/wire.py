"""HTTP by hand, for requests that must be exactly these bytes."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    """By lower-case name; each at most once."""

    body: str


def send(url: str, *headers: str, method: str = "GET", body: str = "") -> Reply:
    """One request with these header lines and no others but Host and Connection."""
    place = urlsplit(url)
    target = place.path + (f"?{place.query}" if place.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {place.netloc}", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    with socket.create_connection((place.hostname, place.port), timeout=20) as there:
        there.sendall("\r\n".join([*lines, "", body]).encode())
        said = b"".join(iter(lambda: there.recv(65_536), b"")).decode()
    head, _, text = said.partition("\r\n\r\n")
    status, *fields = head.split("\r\n")
    pairs = [tuple(field.split(": ", 1)) for field in fields]
    found = {name.lower(): value for name, value in pairs}
    assert len(found) == len(pairs), f"a header is repeated:\n{head}"
    assert int(found["content-length"]) == len(text.encode())
    return Reply(status=int(status.split(" ")[1]), headers=found, body=text)
