"""Asking somebody who holds a key: in turn, for a while, and without believing everything."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenward.clock import now
from tokenward.jose.held import HeldKey
from tokenward.jose.jwt import Expected, verify
from tokenward.jose.keys import KeySet, SigningKey, UnusableKey
from tokenward.server import holder as holder_
from tokenward.server.holder import Holder, nobody
from tokenward.server.keyring import KeyRing
from tokenward.server.rotation import Periods, replaced
from tokenward.server.seal import Seal
from tokenward.server.signers import Made, SignerUnavailable
from tokenward.server.stores import open_store

EXPECTED = Expected(issuer="i", audience="a")
CLAIMS = {"iss": "i", "aud": "a", "exp": 4_000_000_000}


@dataclass
class Cupboard:
    """A signer in memory, whose door can be shut."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"ES256", "RS256"})
    makes_keys: bool = True
    keys: dict[str, SigningKey] = field(default_factory=dict)
    open: threading.Event = field(default_factory=threading.Event)
    fails: Exception | None = None
    signed: int = 0

    def __post_init__(self):
        self.open.set()

    def make(self, name, algorithm):
        self._ask()
        reference = f"{name} {len(self.keys)}"
        self.keys[reference] = key = SigningKey.generate(algorithm)
        spki = PublicFormat.SubjectPublicKeyInfo
        public = key.verifying_key().public.public_bytes(Encoding.DER, spki)
        return Made(reference=reference, public=public)

    def sign(self, reference, algorithm, data):
        self._ask()
        self.signed += 1
        return self.keys[reference]._sign(data)

    def _ask(self):
        self.open.wait()
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def cupboard():
    return Cupboard()


@pytest.fixture
def holder(cupboard):
    holder = Holder(signer=cupboard, deadline=0.2)
    yield holder
    cupboard.open.set()
    holder.close()


@pytest.fixture
async def store(tmp_path):
    store = open_store("memory:", now)
    await store.open()
    yield store
    await store.close()


def believed(key, token):
    return verify(token, KeySet((key.verifying_key(),)), EXPECTED, now=now())["iss"] == "i"


async def test_one_that_hangs_costs_its_callers_a_while_and_signs_when_it_is_back(holder, cupboard):
    key = holder.make("test", "ES256")
    before = cupboard.signed
    cupboard.open.clear()
    began = time.monotonic()
    with pytest.raises(SignerUnavailable, match=r"did not answer within 0\.2 s"):
        await key.sign(CLAIMS)
    assert time.monotonic() - began < 5
    cupboard.open.set()
    assert believed(key, await key.sign(CLAIMS))
    assert cupboard.signed <= before + 2  # whoever has given up is not signed for in vain


async def test_so_many_wait_and_no_more(holder, cupboard):
    key = holder.make("test", "ES256")
    cupboard.open.clear()
    waiting = [asyncio.ensure_future(key.sign(CLAIMS)) for _ in range(holder_.MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(SignerUnavailable, match="64 requests wait"):
        await key.sign(CLAIMS)
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ended} == {SignerUnavailable}
    with pytest.raises(SignerUnavailable, match="64 requests wait"):
        await key.sign(CLAIMS)  # it still hangs, and nothing piles up behind it
    cupboard.open.set()
    for _ in range(500):
        if holder._waiting:
            await asyncio.sleep(0.01)
    assert believed(key, await key.sign(CLAIMS))


async def test_a_signature_of_another_key_does_not_leave(holder, cupboard):
    key = holder.make("test", "ES256")
    cupboard.keys[key.reference] = SigningKey.generate("ES256")
    with pytest.raises(SignerUnavailable, match="is not the one we publish"):
        await key.sign(CLAIMS)


async def test_whatever_it_raises_the_caller_hears_that_it_cannot_be_now(holder, cupboard):
    key = holder.make("test", "ES256")
    cupboard.fails = LookupError("the cupboard is bare")
    with pytest.raises(SignerUnavailable, match="LookupError: the cupboard is bare") as caught:
        await key.sign(CLAIMS)
    assert caught.value.status == 503
    assert "cupboard" not in caught.value.description
    cupboard.fails = SignerUnavailable("locked")
    with pytest.raises(SignerUnavailable, match="locked"):
        holder.make("test", "ES256")


async def test_claims_that_json_cannot_say_are_a_mistake_of_ours(holder):
    with pytest.raises(TypeError):
        await holder.make("test", "ES256").sign({"a": object()})


async def test_a_cancelled_request_leaves_the_signer_to_others(holder, cupboard):
    key = holder.make("test", "ES256")
    cupboard.open.clear()
    request = asyncio.ensure_future(key.sign(CLAIMS))
    await asyncio.sleep(0.01)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    cupboard.open.set()
    assert believed(key, await key.sign(CLAIMS))


@pytest.mark.parametrize("public", [b"", b"\x30\x03\x02\x01\x00", b"\xff" * 91])
def test_a_public_half_that_is_none_is_refused(holder, cupboard, monkeypatch, public):
    monkeypatch.setattr(Cupboard, "make", lambda *_: Made(reference="r", public=public))
    with pytest.raises(SignerUnavailable, match="is of no use"):
        holder.make("test", "ES256")


def test_a_held_key_is_read_back_and_anything_else_is_refused(holder):
    key = holder.make("test", "RS256")
    written = key.to_bytes()
    again = HeldKey.from_bytes(written, holder.asking)
    assert again == key
    assert again.public_jwk() == key.public_jwk()
    assert "x5c" in again.public_jwk()
    for spoilt in (
        b"",
        b"{}",
        written.replace(b'"version":1', b'"version":2'),
        written.replace(b"RS256", b"ES256"),
        SigningKey.generate("ES256").to_bytes(),
    ):
        with pytest.raises(UnusableKey):
            HeldKey.from_bytes(spoilt, holder.asking)


async def test_a_signer_nobody_names_any_more_signs_nothing(holder):
    key = HeldKey.from_bytes(holder.make("test", "ES256").to_bytes(), nobody)
    with pytest.raises(SignerUnavailable, match="the settings do not name"):
        await key.sign(CLAIMS)


async def test_a_next_key_that_cannot_be_made_is_late_and_all_else_goes_on(
    store, holder, cupboard, caplog
):
    at = [1_000_000.0]
    ring_of = {
        "shelf": store.shelf,
        "seal": Seal.of(b"k" * 32),
        "clock": lambda: at[0],
        "periods": {"a": Periods(every=1000, lead=10), "b": Periods(every=1000, lead=10)},
    }
    rings = KeyRing(**ring_of, holders={"a": holder})
    others = KeyRing(**ring_of, holders={"a": Holder(signer=cupboard)})
    held, ours = await rings.ring("a", "ES256"), await rings.ring("b", "ES256")
    await others.ring("a", "ES256")

    at[0] += 995
    cupboard.fails = SignerUnavailable("out of order")
    await rings.refresh()
    assert "issuers.a gets no new signing key: out of order" in caplog.text
    assert (len(held.keys), len(ours.keys)) == (1, 2)

    cupboard.fails = None
    await others.refresh()
    cupboard.fails = SignerUnavailable("out of order")
    await rings.refresh()
    assert len(held.keys) == 2
    [*_, last] = held.entries
    assert last.since >= last.made + 10


async def test_a_signer_that_hangs_hides_nothing_that_others_change(store, holder, cupboard):
    periods = {"a": Periods(keep=60)}
    about = {"shelf": store.shelf, "seal": Seal.of(b"k" * 32), "periods": periods}
    rings = KeyRing(**about, holders={"a": holder})
    others = KeyRing(**about, holders={"a": Holder(signer=cupboard)})
    ring = await rings.ring("a", "ES256")
    await others.ring("a", "ES256")
    make = others.maker("a", "ES256")
    step = partial(replaced, now=now(), periods=periods["a"], make=make)
    await others.change("a", "ES256", step)
    cupboard.open.clear()
    async with asyncio.timeout(5):
        await rings.refresh()
    assert len(ring.keys) == 2


async def test_the_server_waits_for_no_device_while_a_key_is_made(store, holder, cupboard):
    rings = KeyRing(shelf=store.shelf, seal=Seal.of(b"k" * 32), holders={"a": holder})
    cupboard.open.clear()
    making = asyncio.ensure_future(rings.ring("a", "ES256"))
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert not making.done()
    cupboard.open.set()
    assert len((await making).keys) == 1
