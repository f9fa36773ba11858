"""Believing the tokens of one issuer that are meant for us.

Law of this module: ``verify`` never waits and starts nothing; nothing but ``InvalidToken`` leaves.
What was verified is remembered by the SHA-256 of the whole token, and forgotten when it expires,
when the issuer's keys change and when their max-age is over; refusals are not remembered.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import ceil
from typing import cast

import httpx2

from tokenward import clock
from tokenward.clock import Clock
from tokenward.jose import jwt
from tokenward.jose.jws import LONGEST, InvalidToken, UnknownKey
from tokenward.jose.jwt import ACCESS_TOKEN, Claims, Expected
from tokenward.jose.keys import ALGORITHMS, KeySet
from tokenward.remote.fetch import RemoteError, open_async_client, open_client
from tokenward.remote.keysets import RemoteKeys

REMEMBER = 4_096
LONGEST_REMEMBERED = 8_192
"""Characters; longer tokens are verified every time, so that few large ones cannot fill memory."""


class KeysUnavailable(UnknownKey):
    """The issuer's keys could not be had just now, so that nobody can tell."""

    def __init__(self, reason: str, *, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds after which it is worth trying again."""


def digest_of(token: str) -> bytes:
    """The SHA-256 of a token; raises ``InvalidToken`` for what cannot be one."""
    try:
        if len(token) <= LONGEST:
            return sha256(token.encode("ascii")).digest()
    except (TypeError, AttributeError, UnicodeError):
        raise InvalidToken("not a string of ASCII characters") from None
    raise InvalidToken("too long")


class Verifier:
    """Says whether a token is one of this issuer, for this audience, and what it claims.

    One object serves threads and event loops alike. Making one fetches nothing.
    """

    def __init__(
        self,
        issuer: str,
        audience: str | tuple[str, ...] | None,
        *,
        jwks_uri: str = "",
        keys: KeySet | RemoteKeys | None = None,
        algorithms: Iterable[str] = ALGORITHMS,
        typ: Iterable[str] | None = ACCESS_TOKEN,
        required: Iterable[str] = (),
        leeway: float = 10.0,
        remember: int = REMEMBER,
        clock: Clock = clock.now,
        client: Callable[[], httpx2.Client] = open_client,
        async_client: Callable[[], httpx2.AsyncClient] = open_async_client,
    ) -> None:
        """Raises ``ValueError`` for settings that demand nothing or the impossible.

        ``issuer``: the exact ``iss``, and, without ``jwks_uri`` or ``keys``, the URL it is
        discovered from. ``audience``: who we are; several: one of them; ``None`` believes tokens
        made for anybody, for issuers that write no ``aud``. ``required``: claims that must be
        there besides ``iss``, ``aud`` and ``exp``. ``leeway``: seconds their clock may be off.
        ``remember``: how many tokens. ``typ`` and ``algorithms``: see ``jose.jwt.Expected``.
        """
        self.expected = Expected(
            issuer=issuer,
            audience=audience,
            algorithms=frozenset(algorithms),
            typ=None if typ is None else frozenset(typ),
            leeway=leeway,
            required=("exp", *required),
        )
        if isinstance(keys, KeySet) and not keys.keys:
            raise ValueError("a key set without keys")
        self.keys = (
            keys
            if isinstance(keys, RemoteKeys)
            else RemoteKeys(
                issuer,
                jwks_uri=jwks_uri,
                fixed=keys,
                clock=clock,
                client=client,
                async_client=async_client,
            )
        )
        self._clock = clock
        self._most = remember
        self._kept: OrderedDict[bytes, tuple[Claims, float, float, int]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Verifier({self.expected.issuer!r}, {self.expected.audience!r})"

    def verify(self, token: str, *, wait: bool = False) -> Claims:
        """The claims of a token, read-only; raises ``InvalidToken``.

        Answers at once from the keys known now. A key nobody knows yet is ``UnknownKey``, and
        ``KeysUnavailable`` if the keys could not be had at all. With ``wait``, for threads, the
        keys are fetched first if that may help: seconds, and not for everybody who asks. Whoever
        never waits has to ``load`` now and then: keys not confirmed for a day are not believed.
        """
        digest = digest_of(token)
        if digest in self._kept and (claims := self.recall(digest)) is not None:
            return claims
        try:
            claims = self._check(token, digest)
        except UnknownKey:
            if not wait:
                raise
            with self._asking(token):
                self.keys.load(unknown=True)
            claims = self._check(token, digest)
        if wait:
            self.keys.renew()
        return claims

    async def averify(self, token: str) -> Claims:
        """The claims of a token, read-only; raises ``InvalidToken``.

        Waits only for keys that are not known yet; old ones are renewed in the background.
        """
        digest = digest_of(token)
        if (claims := self.recall(digest)) is not None:
            return claims
        try:
            claims = self._check(token, digest)
        except UnknownKey:
            with self._asking(token):
                await self.keys.aload(unknown=True)
            claims = self._check(token, digest)
        self.keys.arenew()
        return claims

    def recall(self, digest: bytes) -> Claims | None:
        """The claims of a token verified before (by ``digest_of``), if that still holds."""
        kept = self._kept.get(digest)
        if kept is None:
            return None
        claims, since, until, generation = kept
        if since <= self._clock() < until and generation == self.keys.generation:
            try:  # noqa: SIM105 - suppress() takes as long as all the rest
                self._kept.move_to_end(digest)
            except KeyError:  # another thread needed the room
                pass
            return claims
        self._kept.pop(digest, None)
        return None

    def load(self) -> None:
        """Fetch the keys if it is time, at start-up for instance; raises ``RemoteError``."""
        self.keys.load()

    async def aload(self) -> None:
        """Fetch the keys if it is time; raises ``RemoteError`` if none are known afterwards."""
        await self.keys.aload()

    def _check(self, token: str, digest: bytes) -> Claims:
        now, keys = self._clock(), self.keys
        # In this order: whatever changes meanwhile, nothing is remembered for longer than it holds.
        generation, fresh_until, known = keys.generation, keys.fresh_until, keys.current
        try:
            claims = jwt.verify(token, known, self.expected, now=now)
        except UnknownKey as exc:
            if keys.failure or not known.keys:
                raise self._unavailable(keys.failure) from exc
            raise
        until = min(cast("float", claims["exp"]), fresh_until)
        if now < until and len(token) <= LONGEST_REMEMBERED and self._most > 0:
            self._kept[digest] = (claims, now, until, generation)
            while len(self._kept) > self._most:
                try:  # noqa: SIM105 - as above
                    self._kept.popitem(last=False)
                except KeyError:
                    pass
        return claims

    @contextmanager
    def _asking(self, token: str) -> Iterator[None]:
        if jwt.issuer_of(token) != self.expected.issuer:
            # Other issuers' tokens are no reason to ask ours for keys.
            raise InvalidToken("iss: not the expected issuer", "iss") from None
        try:
            yield
        except RemoteError as exc:
            raise self._unavailable(exc) from exc

    def _unavailable(self, failure: RemoteError | None) -> KeysUnavailable:
        reason = failure.reason if failure else "not fetched yet"
        return KeysUnavailable(
            f"the issuer's keys are not to be had: {reason}",
            retry_after=max(1, ceil(self.keys.pause)),
        )
