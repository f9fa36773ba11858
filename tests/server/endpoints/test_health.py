"""Readiness means it: each part is asked, and the answer names those that would fail."""

import asyncio

import pytest

from tokenward.oauth.errors import TemporarilyUnavailable
from tokenward.server.endpoints import health
from tokenward.server.endpoints.health import ReadinessEndpoint, Signing
from tokenward.server.http import Received


async def works():
    pass


async def fails():
    raise TemporarilyUnavailable(detail="hunter2 at db.internal")


async def hangs():
    await asyncio.sleep(60)


@pytest.mark.parametrize("bad", [fails, hangs])
@pytest.mark.parametrize("which", ["store", "audit", "keys"])
async def test_what_would_fail_is_named_and_nothing_else_is_said(monkeypatch, bad, which):
    monkeypatch.setattr(health, "TO_ANSWER", 0.05)
    needs = dict.fromkeys(("store", "audit", "keys"), works) | {which: bad}
    answer = await ReadinessEndpoint(needs).answer(Received(method="GET", path="/readyz"))
    assert answer.status == 503
    assert answer.body == b'{"status":"not ready","failing":["%s"]}' % which.encode()
    assert (b"retry-after", b"5") in answer.headers


async def test_ready():
    answer = await ReadinessEndpoint({"store": works}).answer(Received(method="GET", path="/"))
    assert (answer.status, answer.body) == (200, b'{"status":"ready"}')


class Device:
    """A key that may be taken out."""

    def __init__(self):
        self.there, self.signed = True, 0

    def sign(self, claims, *, typ):
        if not self.there:
            raise RuntimeError("the device is gone")
        self.signed += 1
        return ""


async def test_keys_are_ready_if_each_of_them_signs():
    here, gone = Device(), Device()
    gone.there = False
    with pytest.raises(TemporarilyUnavailable):
        await Signing((here, gone)).ping()


async def test_whoever_asks_often_does_not_make_us_sign_often():
    device = Device()
    signing = Signing((device,))
    for _ in range(100):
        await signing.ping()
    assert device.signed == 1
