"""Tokens that outlive a process: for command lines, which would otherwise ask at every start.

Law of this module: a file is for its owner alone, and believed only if it is his; nothing that is
wrong with a file, a folder or a lock is an error of whoever wants a token: then it is asked for.

A file holds one token as it was issued, with what it is good for and until when. Its name is a hash
of what was asked, by whom and of whom, so that whoever may not ask the same does not find it.
"""

import json
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from tokenward.client.errors import TokenError
from tokenward.clock import Clock, now
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import LONGEST_TOKEN, AccessToken
from tokenward.oauth.scope import Scope

VARIABLE = "TOKENWARD_CACHE"
"""``off``, or the folder for tokens."""

_OFF = "off"
_OURS = re.compile(r"[0-9a-f]{64}\.(json|lock|[0-9a-f]{16})")
_OLD = 86_400.0
"""Seconds after which a lock that nobody touched, or half a file, may go."""

_LONGEST = LONGEST_TOKEN + 8 * 1024
_PAUSE, _LONGEST_PAUSE = 0.01, 0.1

Ask = Callable[[], AccessToken]
"""Asks for a token and waits for it; raises ``TokenError``."""


class Keep(Protocol):
    """Where tokens are kept besides the memory of this process."""

    def get(self, key: str, ask: Ask) -> AccessToken:
        """The token for ``key``, if need be by ``ask``; raises what that raises. It may wait."""
        ...

    def refuse(self, key: str, token: AccessToken) -> None:
        """Say that this very token was not accepted, so that nobody is given it again."""
        ...


class Nowhere:
    """Every token is asked for."""

    def get(self, key: str, ask: Ask) -> AccessToken:  # noqa: ARG002
        return ask()

    def refuse(self, key: str, token: AccessToken) -> None:
        """There is nothing to forget."""


NOWHERE = Nowhere()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A token, and when it came."""

    token: AccessToken
    obtained_at: float

    def left(self, at: float) -> float:
        """Seconds; none if the file is from the future, where no clock of ours can have been."""
        return self.token.expires_at - at if at >= self.obtained_at else 0.0

    def serves(self, at: float, least: float) -> bool:
        life = self.token.expires_at - self.obtained_at
        return self.left(at) > min(least, life / 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskCache:
    """Tokens in files of a folder, for all processes of a user; one asks for all that want one.

    A token is handed out while more than ``early`` seconds of it are left, or a fifth of its life
    if that is less; after that, one process asks for the next one while the others wait, at most
    ``patience`` seconds, and then ask for themselves. If nobody can be asked just now, a token
    with more than ``min_life`` seconds left is still good enough.
    """

    folder: Path
    early: float = 120.0
    min_life: float = 30.0
    patience: float = 10.0
    clock: Clock = field(default=now, repr=False)

    def get(self, key: str, ask: Ask) -> AccessToken:
        """The token for ``key``, if need be by ``ask``; raises what that raises."""
        if kept := self._good(key):
            return kept
        with self._turn(key):
            if kept := self._good(key):
                return kept
            try:
                token = ask()
            except TokenError as error:
                old = self._read(key)
                if error.transient and old and old.serves(self.clock(), self.min_life):
                    return old.token
                raise
            self._write(key, token)
            return token

    def refuse(self, key: str, token: AccessToken) -> None:
        """Forget this token, but not another one that has taken its place."""
        kept = self._read(key)
        if kept is not None and kept.token.value == token.value:
            with suppress(OSError):
                self._path(key, "json").unlink()

    def _good(self, key: str) -> AccessToken | None:
        kept = self._read(key)
        return kept.token if kept and kept.serves(self.clock(), self.early) else None

    def _path(self, key: str, kind: str) -> Path:
        return self.folder / f"{sha256(key.encode()).hexdigest()}.{kind}"

    def _read(self, key: str) -> _Kept | None:
        return self._open(self._path(key, "json"))

    def _open(self, path: Path) -> _Kept | None:
        try:
            with open(path, "rb", opener=_only_ours) as file:
                return _kept(json.loads(file.read(_LONGEST)))
        except (OSError, ValueError, ArithmeticError, RecursionError, OAuthError):
            return None  # not there, not ours, not whole: it is asked for again

    def _write(self, key: str, token: AccessToken) -> None:
        said = {
            "access_token": token.value,
            "token_type": token.token_type,
            "scope": str(token.scope),
            "types": sorted(token.types),
            "obtained_at": self.clock(),
            "expires_at": token.expires_at,
        }
        path = self._path(key, "json")
        written = path.with_suffix(f".{secrets.token_hex(8)}")
        with suppress(OSError):  # a disk that is full or read-only costs time, and nothing else
            self._make_folder()
            try:
                with open(written, "xb", opener=_private) as file:
                    file.write(json.dumps(said).encode())
                # A name may come to stand for another file, but never for half of one.
                written.replace(path)
            finally:
                written.unlink(missing_ok=True)
            self._sweep()

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.stat()
        if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
            raise PermissionError  # others could put files there, or take ours away

    def _sweep(self) -> None:
        """Take away what has expired or was left half-written; of our files only."""
        at = self.clock()
        for path in self.folder.iterdir():
            if not _OURS.fullmatch(path.name):
                continue
            with suppress(OSError):
                kept = self._open(path) if path.suffix == ".json" else None
                age = at - path.lstat().st_mtime
                if age > _OLD if kept is None else kept.left(at) <= 0:
                    path.unlink()

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """Wait until nobody else asks for this token; or for too long, or if there are no locks."""
        try:
            self._make_folder()
            lock = os.open(self._path(key, "lock"), os.O_RDWR | os.O_CREAT | _NOFOLLOW, 0o600)
        except OSError:
            yield
            return
        try:
            with suppress(OSError):
                os.utime(lock, (self.clock(), self.clock()))
            until, pause = time.monotonic() + self.patience, _PAUSE
            while not _locked(lock) and time.monotonic() < until:
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            yield
        finally:
            os.close(lock)  # and with it goes the lock, as it does when a process is killed


def of_user(environ: Mapping[str, str] = os.environ) -> Keep:
    """The folder of this user: TOKENWARD_CACHE, or ``tokenward/tokens`` where caches are kept.

    That is XDG_CACHE_HOME or ``~/.cache``, ``~/Library/Caches`` on a Mac, LOCALAPPDATA on Windows.
    With ``TOKENWARD_CACHE=off``, or without a home, nothing is kept.
    """
    said = environ.get(VARIABLE, "").strip()
    if said.lower() == _OFF:
        return NOWHERE
    if said:
        folder = Path(said)
        return DiskCache(folder=folder) if folder.is_absolute() else NOWHERE
    caches = _caches(environ)
    return NOWHERE if caches is None else DiskCache(folder=caches / "tokenward" / "tokens")


def _caches(environ: Mapping[str, str]) -> Path | None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA" if os.name == "nt" else ""):
        folder = Path(environ.get(name, ""))
        if folder.is_absolute():  # what is not is to be ignored, says XDG
            return folder
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _kept(said: object) -> _Kept:
    """What a file says; raises ``ValueError`` if that is not a token as we write it."""
    if not isinstance(said, dict):
        raise ValueError("not an object")  # noqa: TRY004
    value, scope, types = said.get("access_token"), said.get("scope"), said.get("types")
    token_type, until, since = map(said.get, ("token_type", "expires_at", "obtained_at"))
    if not isinstance(scope, str) or not isinstance(token_type, str) or not isinstance(types, list):
        raise ValueError("not a token")  # noqa: TRY004
    read = AccessToken.parse({"access_token": value, "token_type": token_type}, now=0)
    token = AccessToken(
        value=read.value,
        expires_at=_time(until),
        scope=Scope.parse(scope),
        token_type=token_type,
        types=frozenset(map(str, types)),
    )
    return _Kept(token=token, obtained_at=_time(since))


def _time(said: object) -> float:
    if not isinstance(said, int | float) or not math.isfinite(said):
        raise ValueError("not a time")
    return float(said)


_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def _only_ours(path: str, flags: int) -> int:
    """Open a file that is ours and nobody else's business; raises ``OSError``."""
    opened = os.open(path, flags | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0))
    found = os.fstat(opened)
    if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o077):
        os.close(opened)
        raise PermissionError
    return opened


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | _NOFOLLOW, 0o600)


def _locked(lock: int) -> bool:
    """Whether it is our turn; always, where files cannot be locked."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system there is
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
