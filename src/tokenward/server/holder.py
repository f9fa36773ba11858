"""Keys that somebody else holds: asked for signatures in a thread, and for a while only.

A module that hangs may cost its own callers their answer, but nobody else, and no memory: so many
may wait, and no more. What comes back is checked before it leaves; a signature that does not
belong to the key we publish is none.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tokenward.jose.algorithms import PublicKey, UnusableKey
from tokenward.jose.held import Ask, HeldKey
from tokenward.jose.keys import VerifyingKey
from tokenward.server.signers import Signer, SignerUnavailable

DEADLINE = 3.0
"""Seconds after which a signature comes too late."""

TO_MAKE = 60.0
"""Seconds that making a key may take: for RSA, a small device has to look for primes."""

MOST_WAITING = 64
"""Requests that may wait for one signer at a time."""

T = TypeVar("T")

Asking: TypeAlias = Callable[[VerifyingKey, str], Ask]
"""(key, its reference) -> how to ask for signatures with it."""

_Job: TypeAlias = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


@dataclass(slots=True, kw_only=True)
class Holder:
    """Somebody who holds the keys of one issuer."""

    signer: Signer
    deadline: float = DEADLINE
    _jobs: SimpleQueue[_Job | None] = field(default_factory=SimpleQueue, init=False, repr=False)
    _thread: Thread | None = field(default=None, init=False, repr=False)
    _waiting: int = field(default=0, init=False)

    def make(self, name: str, algorithm: str) -> HeldKey:
        """A key that has not signed yet; blocks. Raises ``SignerUnavailable``."""
        if algorithm not in self.signer.algorithms:
            raise SignerUnavailable(f"the signer cannot sign with {algorithm}")
        made = _asked(lambda: self.signer.make(name, algorithm))
        try:
            public = serialization.load_der_public_key(made.public)
            if not isinstance(public, PublicKey):
                raise UnusableKey("not a kind of key we know")
            unnamed = VerifyingKey(kid=None, algorithm=algorithm, public=public)
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise SignerUnavailable(f"its key {made.reference} is of no use: {exc}") from None
        kid = unnamed.thumbprint
        key = VerifyingKey(kid=kid, algorithm=algorithm, public=public)
        certificate = b""
        if isinstance(public, rsa.RSAPublicKey):
            # Certificates double the time that importing cryptography takes.
            from tokenward.jose import certificates  # noqa: PLC0415

            plain = VerifyingKey(kid=kid, algorithm="RS256", public=public)
            certificate = certificates.signed_elsewhere(
                public, kid, lambda data: self._signature(plain, made.reference, data)
            )
        held = HeldKey(
            public=key,
            reference=made.reference,
            certificate=certificate,
            ask=self.asking(key, made.reference),
        )
        self._signature(key, made.reference, b"trial")  # better now than when it is published
        return held

    def asking(self, key: VerifyingKey, reference: str) -> Ask:
        """How to ask for a signature with this key."""

        async def ask(data: bytes) -> bytes:
            return await self.in_turn(lambda: self._signature(key, reference, data), self.deadline)

        return ask

    def close(self) -> None:
        """Let the thread go, after what it is at."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    async def in_turn(self, work: Callable[[], T], patience: float) -> T:
        """Do this in the signer's thread; raises ``SignerUnavailable`` after so many seconds."""
        if self._waiting >= MOST_WAITING:
            raise SignerUnavailable(f"{MOST_WAITING} requests wait for the signer already")
        if self._thread is None:
            # No pool of the library's: those are waited for at the end, however long it takes.
            self._thread = Thread(target=self._work, name="tokenward-signer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._waiting += 1
        self._jobs.put((loop, done, work))
        try:
            async with asyncio.timeout(patience):
                return await done
        except TimeoutError:
            raise SignerUnavailable(f"the signer did not answer within {patience:g} s") from None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, done, work = job
            result: Any = None
            failure: Exception | None = None
            try:
                if not done.cancelled():  # whoever has given up is not worth a signature
                    result = work()
            except Exception as exc:  # noqa: BLE001 - it belongs to whoever waits
                failure = exc
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(self._settle, done, result, failure)

    def _settle(
        self, done: "asyncio.Future[Any]", result: object, failure: Exception | None
    ) -> None:
        self._waiting -= 1
        if done.done():
            return
        if failure is not None:
            done.set_exception(failure)
        else:
            done.set_result(result)

    def _signature(self, key: VerifyingKey, reference: str, data: bytes) -> bytes:
        signature = _asked(lambda: self.signer.sign(reference, key.algorithm, data))
        if not key.verify(data, signature):
            raise SignerUnavailable(f"the signer's key {reference} is not the one we publish")
        return signature


def _asked(call: Callable[[], T]) -> T:
    try:
        return call()
    except SignerUnavailable:
        raise
    except Exception as exc:
        raise SignerUnavailable(f"the signer failed: {type(exc).__name__}: {exc}") from exc


def nobody(key: VerifyingKey, reference: str) -> Ask:  # noqa: ARG001 - as ``asking`` has it
    """How to ask where the signer has gone from the settings: its keys are only believed."""

    async def ask(data: bytes) -> bytes:  # noqa: ARG001
        raise SignerUnavailable(f"the key {reference} is held by a signer the settings do not name")

    return ask
