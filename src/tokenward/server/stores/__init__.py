"""What do we keep for a while?

Codes, refresh tokens, device codes, replay marks, key rings, leases: whatever has a best-before
date. A store knows keys, values and times; what they stand for is the business of whoever asks.
It keeps three small contracts, and each caller is handed the one it needs:

* a **shelf** for things that are put and taken,
* **chains** for secrets that are exchanged for their successor at every use,
* **leases** for work that one process at a time may do.

Law: once means once, and write before you answer. Whatever may happen once is one conditional
write in one transaction, and nobody hears of it before it is safely kept. What has expired is
absent, exactly at its ``until``, whether or not it has been cleared away yet.

Keys are text without NUL, of at most 2,000 bytes; values are bytes; times are seconds since the
epoch, and ``None`` means for good. Secrets do not come here: keys made from them are hashed, and
values encrypted, above.

To add one, write a file here that offers ``from_url``, name it in ``_KINDS``, and let the tests in
``tests/server/stores`` run against it.
"""

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeAlias, cast

from tokenward.clock import Clock
from tokenward.oauth.errors import TemporarilyUnavailable


class StoreUnavailable(TemporarilyUnavailable):
    """The store cannot answer now: locked for too long, disk full, gone. Callers hear 503."""

    def __init__(self, detail: str) -> None:
        super().__init__("the server cannot reach what it keeps just now", detail=detail)


class WrongStore(ValueError):
    """This store cannot be used until the operator changes something; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a store has been asked for so far. Questions of readiness are neither
    reads nor writes."""

    reads: int = 0
    writes: int = 0
    commits: int = 0
    """How often something was made durable; fewer than ``writes`` where writes share a commit."""


class Shelf(Protocol):
    """Things under a key, each until its time."""

    async def put(self, key: str, value: bytes, *, until: float | None) -> None:
        """Keep this, instead of whatever was there."""
        ...

    async def get(self, key: str) -> bytes | None:
        """What is kept there. Looking changes nothing."""
        ...

    async def add(self, key: str, value: bytes, *, until: float | None) -> bool:
        """Keep this if nothing is there, and say so: of a hundred at once, one hears ``True``."""
        ...

    async def swap(self, key: str, old: bytes, new: bytes, *, until: float | None) -> bool:
        """Keep ``new`` if ``old`` is there, and say so: of a hundred at once, one hears so."""
        ...

    async def take(self, key: str) -> bytes | None:
        """Get and forget in one step: of two takers, one gets nothing."""
        ...

    async def drop(self, key: str) -> None:
        """Forget what is there, if anything is."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """The keys that begin so, in the order of their code points."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """Presented for the first time: it is spent now, and its successor is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Presented again soon after; the first answer may have been lost. Give the same one."""

    replay: bytes = field(repr=False)
    """The record of that answer, as the first ``rotate`` stored it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theft:
    """Two parties hold the same secret; the whole family has been revoked (RFC 9700 §4.14.2)."""

    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Never given, expired, or of a family that was revoked: nothing has changed."""


Rotation: TypeAlias = First | Again | Theft | Unknown


class Chains(Protocol):
    """Families of keys, of which one is live at a time: each is spent for its successor.

    A spent key is remembered until it expires, so that presenting it again is noticed. A code may
    be the first key of the family of refresh tokens it leads to; rotated with ``grace=0``, its
    second use revokes them all (RFC 6749 §4.1.2).
    """

    async def begin(self, family: str, key: str, value: bytes, *, until: float | None) -> None:
        """Keep the first key of a family. ``ValueError`` if that key is in use already."""
        ...

    async def look(self, key: str) -> bytes | None:
        """The value of a live key: not spent, not expired, not revoked. Looking spends nothing."""
        ...

    async def rotate(
        self,
        old: str,
        new: str,
        value: bytes,
        replay: bytes,
        *,
        until: float | None,
        grace: float,
    ) -> Rotation:
        """Spend ``old`` for ``new``, which has ``value`` and lives until ``until``.

        ``replay`` is the answer about to be given, encrypted so that only whoever presents ``old``
        can have it. Presented again less than ``grace`` seconds later, while ``new`` is live, the
        answer is ``Again`` with the record of the first time; presented again otherwise, it is
        ``Theft``. In both cases ``new``, ``value`` and ``replay`` are not kept. ``ValueError`` if
        ``new`` is in use already; nothing has changed then.
        """
        ...

    async def revoke(self, family: str) -> None:
        """Forget all keys of a family. What is begun under that name later is a new family."""
        ...


class Leases(Protocol):
    """Who may do a piece of work now."""

    async def hold(self, name: str, *, until: float) -> int | None:
        """The number of your lease, or ``None`` if somebody else holds it.

        Later leases have higher numbers (fencing): whoever is shown a lower one than it has seen
        is talking to somebody whose lease is over.
        """
        ...

    async def renew(self, name: str, number: int, *, until: float) -> bool:
        """Hold it until then; ``False`` if it is not, or no longer, yours."""
        ...

    async def release(self, name: str, number: int) -> bool:
        """Let others have it; ``False`` if it was not, or no longer, yours."""
        ...


class Store(Protocol):
    """A place for all three. Whatever it is asked may raise ``StoreUnavailable``.

    It belongs to the event loop that opened it. A write whose caller is cancelled happens wholly
    or not at all.
    """

    @property
    def shelf(self) -> Shelf: ...

    @property
    def chains(self) -> Chains: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def counts(self) -> Counts:
        """What it has been asked for so far, as it is now."""
        ...

    @property
    def path(self) -> Path | None:
        """The file it is, if it is one."""
        ...

    async def open(self) -> None:
        """Be ready for questions. Raises ``WrongStore`` where waiting would not help."""
        ...

    async def close(self) -> None:
        """Finish what was asked for, then stop."""
        ...

    async def ping(self) -> None:
        """Return if it would answer now (readiness)."""
        ...


class Cache(Protocol):
    """A place for what is fleeting: it may forget, and it may be gone. What may happen once is
    never remembered there alone."""

    @property
    def shelf(self) -> Shelf:
        """Where it is gone, there is nothing on it, and nothing put on it stays."""
        ...

    async def open(self) -> None:
        """Be ready for questions, or go on without. Raises ``WrongStore`` where waiting would not
        help."""
        ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Return if it would answer now; else ``StoreUnavailable``."""
        ...


class _Kind(Protocol):
    """What a file in this folder offers."""

    def from_url(self, rest: str, clock: Clock) -> Store:
        """The store that is meant by what follows the first colon; ``WrongStore`` if none is."""
        ...


class _CacheKind(Protocol):
    """The same, for a cache."""

    def from_url(self, rest: str, clock: Clock, *, scheme: str) -> Cache: ...


_KINDS = {"memory": "memory", "sqlite": "sqlite", "postgres": "postgres", "postgresql": "postgres"}
_CACHES = {"redis": "redis", "rediss": "redis"}
_EXTRAS = frozenset({"postgres", "redis"})
"""Those that need a driver, which comes with the extra of the same name."""
_STORES = (
    "use memory:, sqlite:///absolute/path.db, sqlite:relative.db"
    " or postgresql://user:password@host/database"
)


def open_store(url: str, clock: Clock) -> Store:
    """The store that a URL names, not yet opened.

    * ``memory:`` keeps everything until the process ends;
    * ``sqlite:///var/lib/tokenward.db`` is the file ``/var/lib/tokenward.db`` (one leading slash
      or more: absolute; not as in SQLAlchemy, where three are relative);
    * ``sqlite:tokenward.db`` is a file in the folder we were started in;
    * ``postgresql://user:password@host:5432/database?sslmode=verify-full`` is a database, with
      whatever parameters libpq has; what is special in a name or a password is %-encoded.

    Raises ``WrongStore`` for any other, and never repeats it: URLs contain passwords.
    """
    scheme, colon, rest = url.partition(":")
    kind = _KINDS.get(scheme.lower()) if colon else None
    if kind is not None:
        return cast("_Kind", _module(kind, scheme)).from_url(rest, clock)
    if colon and scheme.lower() in _CACHES:
        raise WrongStore(f"{scheme}: may forget, so it can only be the cache; {_STORES}")
    said = f"{scheme}: is no store we know" if colon and scheme.isalnum() else "a store is a URL"
    raise WrongStore(f"{said}; {_STORES}")


def open_cache(url: str, clock: Clock) -> Cache:
    """The cache that a URL names, not yet opened: ``redis://:password@host:6379/0``, or the same
    over TLS, ``rediss:``. Raises ``WrongStore`` for any other, and never repeats it."""
    scheme, colon, rest = url.partition(":")
    kind = _CACHES.get(scheme.lower()) if colon else None
    if kind is None:
        raise WrongStore("this is no cache we know; use redis://:password@host:6379/0")
    return cast("_CacheKind", _module(kind, scheme)).from_url(rest, clock, scheme=scheme.lower())


def _module(kind: str, scheme: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{kind}")
    except ImportError:
        if kind not in _EXTRAS:
            raise
        raise WrongStore(
            f"{scheme}: comes with tokenward[{kind}], which is not installed here"
        ) from None
