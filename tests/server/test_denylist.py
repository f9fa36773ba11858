"""A revoked token is that token, however its issuer calls it."""

import pytest

from tokenward.server.denylist import DenyList
from tokenward.server.stores.memory import Memory

NAMES = ["0" * 32, "0" * 31, "0" * 33, "", "a/b", "\u20ac" * 32, "x" * 5_000]


@pytest.mark.parametrize("jti", NAMES)
async def test_what_was_revoked_is_revoked_and_nothing_else(jti):
    denylist = DenyList(Memory(lambda: 1_000.0).shelf)
    await denylist.revoke("https://a.example", jti, until=2_000.0)
    assert await denylist.revoked("https://a.example", jti)
    assert not await denylist.revoked("https://b.example", jti)
    others = [name for name in NAMES if name != jti]
    assert not any([await denylist.revoked("https://a.example", name) for name in others])
