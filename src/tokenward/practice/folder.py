"""What dev mode keeps from one start to the next, so that what was pasted yesterday still works."""

import json
import secrets
import socket
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Self

KEPT = "dev.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Ports and practice secrets."""

    port: int
    ports: tuple[int, int, int]
    client_secret: str = field(repr=False)
    reports_api_secret: str = field(repr=False)
    itwin_secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """New secrets, and no ports yet."""
        return cls(
            port=0,
            ports=(0, 0, 0),
            client_secret=secrets.token_urlsafe(32),
            reports_api_secret=secrets.token_urlsafe(32),
            itwin_secret=secrets.token_urlsafe(32),
        )

    @classmethod
    def open(cls, folder: Path, *, port: int | None, standard: int) -> Self:
        """What is kept in this folder, or new.

        0 asks for a free port, ``None`` for the standard one, or a free one if somebody has it.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / KEPT
        kept = cls(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else cls.new()
        if port is None:
            port = standard if _free(standard) else 0
        first, second, third = (it if _free(it) else 0 for it in kept.ports)
        kept = replace(
            kept,
            port=port or _any_free(),
            ports=(first or _any_free(), second or _any_free(), third or _any_free()),
        )
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(kept), indent=2) + "\n", encoding="utf-8")
        draft.replace(file)
        return kept

    def environment(self) -> dict[str, str]:
        """The secrets that the configuration refers to."""
        return {
            "DEMO_SECRET_HASH": _hash(self.client_secret),
            "REPORTS_API_SECRET_HASH": _hash(self.reports_api_secret),
            "ITWIN_CLIENT_SECRET": self.itwin_secret,
        }


def _hash(secret: str) -> str:
    return "sha256:" + sha256(secret.encode()).hexdigest()


def _free(port: int) -> bool:
    """Whether somebody else listens there; 0 is always free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
