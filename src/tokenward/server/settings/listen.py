"""Where do we wait for requests? ``[listen]``"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tokenward.server.config import Report, fill, spelled
from tokenward.server.values import Within, Wrong, tables, text

LARGEST_PORT = 65_535
MOST_WORKERS = 64
DRAIN = 10.0

_LISTEN = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Files to speak TLS with: PEM all of them."""

    certificate: str
    key: str
    password: str = field(default="", repr=False)
    clients: Literal["none", "optional", "required"] = "none"
    client_ca: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the server waits for requests, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    drain: float = DRAIN
    tls: TLS | None = None


def host_and_port(value: object) -> Listen:
    """``host:port``; an IPv6 address is in brackets."""
    match = _LISTEN.fullmatch(text(value))
    if not match:
        raise Wrong(
            "must be an address and a port",
            'such as "127.0.0.1:8080", "0.0.0.0:8080" for everybody, or "[::1]:8080"',
        )
    return Listen(host=match["host"].strip("[]"), port=port_number(match["port"]))


def port_number(written: str) -> int:
    """A TCP port; 0 lets the system choose one. Raises ``Wrong``."""
    if not written.isascii() or not written.isdigit() or len(written) > len(str(LARGEST_PORT)):
        raise Wrong("must be a port: a number up to 65535")
    if int(written) > LARGEST_PORT:
        raise Wrong("must be a port: a number up to 65535")
    return int(written)


def listen_table(value: object) -> Mapping[str, object]:
    """The table, or the address alone: ``listen = "127.0.0.1:8080"``."""
    if isinstance(value, dict):
        return tables(value)
    host_and_port(value)
    return {"address": value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenTable:
    """``[listen]``"""

    address: Annotated[Listen, host_and_port] = field(default_factory=Listen)
    """Address and port, `127.0.0.1:8080` unless said. The variable `PORT` changes the port."""

    workers: int = 1
    """How many processes share the port, `1` unless said: one for each core that the server may
    have to itself. Several need a store that they can share, so not `memory:`."""

    drain: Annotated[float, Within("0s", "5m")] = DRAIN
    """How long requests that are under way may take to end when the server stops."""

    tls_certificate: str = ""
    """A file with our certificate and those between it and the root, as PEM. With it the port
    speaks https and nothing else: TLS 1.2 and 1.3."""

    tls_key: str = ""
    """A file with its private key, as PEM."""

    tls_key_password: str = field(default="", repr=False)
    """What the key is encrypted with, as `"${NAME}"`."""

    tls_client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, for `tls_client_auth` and tokens bound to a
    certificate. One that `tls_client_ca` does not know ends the connection."""

    tls_client_ca: str = ""
    """A file with the certificates of those who vouch for clients, as PEM. A certificate that its
    client signed itself is listed here, too."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"workers: must be 1 to {MOST_WORKERS}")
        if bool(self.tls_certificate) is not bool(self.tls_key):
            missing = "tls_key" if self.tls_certificate else "tls_certificate"
            raise ValueError(f"{missing}: is missing: a certificate and its key belong together")
        if self.tls_client_certificates != "none" and not self.tls_client_ca:
            raise ValueError("tls_client_ca: is missing: it says which certificates count")
        if self.tls_client_ca and self.tls_client_certificates == "none":
            raise ValueError(
                'tls_client_certificates: must be "optional" or "required" if there is a '
                "tls_client_ca: nobody is asked for a certificate otherwise"
            )
        if not self.tls_certificate and (self.tls_client_ca or self.tls_key_password):
            raise ValueError("tls_certificate: is missing: without it there is no TLS")

    def listen(self) -> Listen:
        """What the server works with."""
        tls = TLS(
            certificate=self.tls_certificate,
            key=self.tls_key,
            password=self.tls_key_password,
            clients=self.tls_client_certificates,
            client_ca=self.tls_client_ca,
        )
        return Listen(
            host=self.address.host,
            port=self.address.port,
            workers=self.workers,
            drain=self.drain,
            tls=tls if self.tls_certificate else None,
        )


def read_listen(table: Mapping[str, object], report: Report) -> Listen:
    """What the table says; the usual if there is none."""
    at = ("listen",)
    read = fill(ListenTable, spelled(table, at, report, ListenTable), at, report)
    return read.listen() if read is not None else Listen()


def mind_workers(listen: Listen, store: str, report: Report) -> None:
    """Several processes share no memory."""
    if said := cannot_share(listen, store):
        report.error(("listen", "workers"), *said)


def cannot_share(listen: Listen, store: str) -> tuple[str, str] | None:
    """Why this store is not for several processes, and what to do; ``None`` if it is."""
    if listen.workers == 1 or not store.lower().startswith("memory:"):
        return None
    return (
        f"{listen.workers} processes cannot share memory: what one knows, the others do not",
        'store = "sqlite:///var/lib/tokenward.db"',
    )
