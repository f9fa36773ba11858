"""What dev mode keeps from one start to the next, so that what was pasted yesterday still works."""

import base64
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

LARGEST_PORT = 65_535

KEPT, CONFIG, VARIABLES, FOR_SHELLS = "dev.json", "tokenward.toml", ".env.local", "dev.env"


def _new_hub_secret() -> str:
    """As Textile's Hub made them: 24 bytes as base32, with a ``b`` before it."""
    return "b" + base64.b32encode(secrets.token_bytes(24)).decode().rstrip("=").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Ports and practice secrets."""

    ports: tuple[int, int, int] = (0, 0, 0)
    """Of the practice servers; 0 for any."""

    port: int = 0
    """Our own, the last time."""

    client_secret: str = field(repr=False)
    reports_api_secret: str = field(repr=False)
    itwin_secret: str = field(repr=False)
    hub_secret: str = field(repr=False, default_factory=_new_hub_secret)

    @classmethod
    def new(cls) -> Self:
        """New secrets, and no ports yet."""
        return cls(
            client_secret=secrets.token_urlsafe(32),
            reports_api_secret=secrets.token_urlsafe(32),
            itwin_secret=secrets.token_urlsafe(32),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What is kept in this folder; new if that is nothing, or nothing that makes sense."""
        try:
            said = json.loads((folder / KEPT).read_text(encoding="utf-8"))
            first, second, third = (_port(port) for port in said["ports"])
            return cls(
                ports=(first, second, third),
                port=_port(said["port"]),
                client_secret=_secret(said["client_secret"]),
                reports_api_secret=_secret(said["reports_api_secret"]),
                itwin_secret=_secret(said["itwin_secret"]),
                hub_secret=_hub_secret(said.get("hub_secret") or _new_hub_secret()),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return cls.new()

    def write(self, folder: Path) -> None:
        """Keep it; raises ``OSError``."""
        write(folder / KEPT, json.dumps(asdict(self), indent=2) + "\n")

    def environment(self) -> dict[str, str]:
        """The secrets that the configuration refers to."""
        return {
            "DEMO_SECRET_HASH": _hash(self.client_secret),
            "REPORTS_API_SECRET_HASH": _hash(self.reports_api_secret),
            "ITWIN_CLIENT_SECRET": self.itwin_secret,
            "HUB_SECRET": self.hub_secret,
        }


def write(file: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing; raises ``OSError``."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(text.encode())
    draft.replace(file)


def variables(said: Mapping[str, str], *, comment: str, export: bool = False) -> str:
    """A file of variables, for shells to source or for ``tokenward serve`` to read."""
    assign = "export " if export else ""
    lines = [f"{assign}{name}='{value}'" for name, value in said.items()]
    return "\n".join([f"# {comment}", *lines, ""])


def _port(said: object) -> int:
    if not isinstance(said, int) or not 0 <= said <= LARGEST_PORT:
        raise ValueError("that is no port")
    return said


def _secret(said: object) -> str:
    if not isinstance(said, str) or not re.fullmatch(r"[A-Za-z0-9_-]{32,}", said):
        raise ValueError("that is no secret of ours")
    return said


def _hub_secret(said: object) -> str:
    if not isinstance(said, str) or not re.fullmatch(r"b[a-z2-7]{39}", said):
        raise ValueError("that is no secret of a Hub's")
    return said


def _hash(secret: str) -> str:
    return "sha256:" + sha256(secret.encode()).hexdigest()
