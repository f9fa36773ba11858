"""What ``tokenward check --live`` asks: everything that the server will depend on, once."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from tokenward.cli.trying import Failed, tried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2

    from tokenward.server.settings import Settings
    from tokenward.server.stores import Store

DEADLINE = 15.0
"""Seconds for each of them; they are asked at the same time."""

SKEW = 5.0
"""Seconds that our clock may differ from somebody else's without being worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of one question."""

    part: str
    good: bool
    said: str
    hint: str = ""
    ms: float = 0.0


@dataclass(slots=True)
class Live:
    """The questions about one configuration."""

    settings: "Settings"
    http: "httpx2.AsyncClient"
    skew: float = 0.0
    """By how many seconds our clock is ahead of the others', as far as they say."""

    async def ask(self) -> list[Found]:
        """Ask everything at once."""
        questions = self._questions()
        found = await asyncio.gather(*(self._asked(part, it) for part, it in questions.items()))
        if abs(self.skew) > SKEW:
            way = "ahead of" if self.skew > 0 else "behind"
            said = f"this clock is {abs(self.skew):.0f} s {way} the others'"
            hint = "Tokens would be taken for expired, or not be valid yet: set it by NTP."
            found.append(Found(part="clock", good=False, said=said, hint=hint))
        return found

    def _questions(self) -> dict[str, Callable[[], Awaitable[str]]]:
        settings = self.settings
        asked: dict[str, Callable[[], Awaitable[str]]] = {
            "store": self._store,
            "audit": self._audit,
        }
        if settings.cache:
            asked["cache"] = self._cache
        for name, issuer in settings.issuers.items():
            if issuer.signer is not None:
                asked[f"issuers.{name}"] = self._held(name)
        for name, subject in settings.subjects.items():
            if (question := self._vouching(subject.proof)) is not None:
                asked[f"callers.{name}"] = question
        for one in settings.clients.values():
            if uri := getattr(one.proof, "jwks_uri", ""):
                asked[f"callers.{one.client.name}"] = self._keys("", uri)
        for name, token in settings.tokens.items():
            if token.upstream is not None:
                asked[f"tokens.{name}"] = self._upstream(name)
        return asked

    async def _asked(self, part: str, question: Callable[[], Awaitable[str]]) -> Found:
        began = perf_counter()
        good, hint = False, ""
        try:
            async with asyncio.timeout(DEADLINE):
                said = await question()
            good = True
        except TimeoutError:
            said = f"no answer within {DEADLINE:g} seconds"
        except Failed as exc:
            said, hint = str(exc), exc.hint
        return Found(
            part=part, good=good, said=said, hint=hint, ms=(perf_counter() - began) * 1_000
        )

    def _vouching(self, proof: Any) -> Callable[[], Awaitable[str]] | None:
        """Whom this proof asks about its people, if it asks anybody."""
        if hasattr(proof, "question"):
            return self._introspection(proof)
        if hasattr(proof, "jwks_uri") and proof.keys is None:
            return self._keys(proof.issuer, proof.jwks_uri, getattr(proof, "own_keys", None))
        return None

    def _keys(
        self, issuer: str, jwks_uri: str, own: Callable[..., Any] | None = None
    ) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            from tokenward.remote.fetch import RemoteError  # noqa: PLC0415
            from tokenward.remote.keysets import RemoteKeys  # noqa: PLC0415

            keys = own(time) if own else None
            keys = keys or RemoteKeys(issuer, jwks_uri=jwks_uri, async_client=self._lent)
            try:
                await keys.aload()
            except RemoteError as exc:
                hint = "Its people cannot be believed until it answers."
                raise Failed(exc.reason, hint) from None
            many = len(keys.current)
            return f"{many} key{'s' * (many != 1)} of {issuer or jwks_uri}"

        return ask

    def _introspection(self, proof: Any) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            from tokenward.remote.fetch import RemoteError, arun  # noqa: PLC0415

            try:
                endpoint = await arun(proof.located(), self.http, deadline=DEADLINE)
                flow = proof.question(f"{proof.token_prefix}check", endpoint)
                answer = await arun(flow, self.http, deadline=DEADLINE)
            except RemoteError as exc:
                raise Failed(exc.reason, "Does it let this client introspect?") from None
            if answer["active"]:
                raise Failed("calls a token good that nobody was given")
            return "tells good tokens from others"

        return ask

    def _upstream(self, name: str) -> Callable[[], Awaitable[str]]:
        return lambda: tried(name, self.settings, self.http, deadline=DEADLINE)

    async def _store(self) -> str:
        from tokenward.server.keeping import keyring_of  # noqa: PLC0415
        from tokenward.server.seal import SealBroken  # noqa: PLC0415
        from tokenward.server.stores import StoreUnavailable, WrongStore, open_store  # noqa: PLC0415

        settings = self.settings
        try:
            store = open_store(settings.store, time)
            if store.path is not None and not store.path.exists():
                if not os.access(store.path.absolute().parent, os.W_OK):
                    raise Failed(f"{store.path.absolute().parent} cannot be written to")
                return "is not there yet, and will be made"
            async with _opened(store):
                await store.ping()
                rings = keyring_of(settings, store, time)
                known = 0
                for name, issuer in settings.issuers.items():
                    kept = await rings.look(name, issuer.algorithm)
                    known += bool(kept)
        except StoreUnavailable as exc:
            raise Failed(exc.detail, "Is it running, and is its disk not full?") from None
        except WrongStore as exc:
            raise Failed(str(exc)) from None
        except SealBroken as exc:
            raise Failed(str(exc), "Is encryption_key the one it was made with?") from None
        return f"answers, and has the keys of {known} of {len(settings.issuers)} issuers"

    def _held(self, name: str) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            from tokenward.server.keeping import keyring_of  # noqa: PLC0415
            from tokenward.server.seal import SealBroken  # noqa: PLC0415
            from tokenward.server.signers import SignerUnavailable  # noqa: PLC0415
            from tokenward.server.stores import (  # noqa: PLC0415
                StoreUnavailable,
                WrongStore,
                open_store,
            )

            algorithm = self.settings.issuers[name].algorithm
            try:
                store = open_store(self.settings.store, time)
                if store.path is not None and not store.path.exists():
                    return "has no key yet: the server makes one in the module when it starts"
                async with _opened(store):
                    rings = keyring_of(self.settings, store, time)
                    try:
                        if not await rings.look(name, algorithm):
                            return (
                                "has no key yet: the server makes one in the module when it starts"
                            )
                        ring = await rings.ring(name, algorithm)
                        signed = ring.sign({}, typ="readiness")  # no token of any kind
                        if not isinstance(signed, str):
                            await signed
                    finally:
                        rings.close()
            except SignerUnavailable as exc:
                raise Failed(
                    exc.detail, "Is the module there, its token in it, the PIN right?"
                ) from None
            except (StoreUnavailable, WrongStore, SealBroken):
                raise Failed("its keys cannot be read", "See the store.") from None
            return "its key signs"

        return ask

    async def _cache(self) -> str:
        from tokenward.server.stores import StoreUnavailable, WrongStore, open_cache  # noqa: PLC0415

        try:
            cache = open_cache(self.settings.cache, time)
            await cache.open()
            try:
                await cache.shelf.keys("tokenward-check/")
            finally:
                await cache.close()
        except (StoreUnavailable, WrongStore) as exc:
            said = exc.detail if isinstance(exc, StoreUnavailable) else str(exc)
            raise Failed(
                said, "The server works without it, with more work for the store."
            ) from None
        return "answers"

    async def _audit(self) -> str:
        to = self.settings.audit.to
        if to == "stdout":
            return "goes to standard output"
        path = Path(to).absolute()  # noqa: ASYNC240 - one look
        place = path if path.exists() else path.parent
        if not os.access(place, os.W_OK):
            raise Failed(f"{place} cannot be written to", "Nothing is handed out without it.")
        return f"{path} can be written to"

    def _lent(self) -> "httpx2.AsyncClient":
        """The one client, in a form that may be closed by whoever borrows it."""
        from tokenward.remote.fetch import open_async_client  # noqa: PLC0415

        client = open_async_client()
        client.event_hooks["response"].append(self.heard)
        return client

    async def heard(self, response: "httpx2.Response") -> None:
        """Somebody said what time it is (RFC 9110 §6.6.1)."""
        try:
            theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return
        self.skew = max(self.skew, time() - theirs - SKEW / 5, key=abs)


@asynccontextmanager
async def _opened(store: "Store") -> "AsyncIterator[None]":
    await store.open()
    try:
        yield
    finally:
        await store.close()


def ask(settings: "Settings") -> list[Found]:
    """Ask everything that this configuration depends on."""

    async def run() -> list[Found]:
        from tokenward.remote.fetch import open_async_client  # noqa: PLC0415

        async with open_async_client() as http:
            live = Live(settings, http)
            http.event_hooks["response"].append(live.heard)
            return await live.ask()

    return asyncio.run(run())
