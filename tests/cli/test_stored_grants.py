"""What the command line does with stored grants: seals them anew, and never shows one."""

import asyncio
import time
from secrets import token_urlsafe

import pytest

from tests.rotating import Platform
from tokenward.server.offline import Whose
from tokenward.server.offline.safe import Safe, new
from tokenward.server.seal import Seal, SealBroken
from tokenward.server.stores import open_store


@pytest.fixture
def platform():
    with Platform() as platform:
        yield platform


def written(folder, platform, key):
    file = folder / "tokenward.toml"
    file.write_text(
        f"""
        issuer = "https://tokens.example.com"
        store  = "sqlite:{folder}/t.db"
        encryption_key = "{key}"
        [callers.nightly]
        proof   = "client_secret"
        secrets = ["sha256:{"0" * 64}"]
        [tokens.calendar]
        upstream      = "refresh_token"
        token_endpoint = "{platform.token_endpoint}"
        client_id     = "us"
        client_secret = "their-secret"
        refresh_token = "{platform.begin()}"
        [[allow]]
        caller = "nightly"
        token  = "calendar"
        """
    )
    return file


def test_grants_are_sealed_anew_with_the_rest(run, tmp_path, platform):
    old, young = token_urlsafe(32), token_urlsafe(32)

    async def kept(keys, *, put=False):
        store = open_store(f"sqlite:{tmp_path}/t.db", time.time)
        await store.open()
        try:
            safe = Safe(shelf=store.shelf, seal=lambda: Seal.from_text(keys), clock=time.time)
            if put:
                await safe.add(new(Whose("calendar"), "", "r" * 20, now=time.time()))
            place = Whose("calendar").place
            return Seal.from_text(keys).open(await store.shelf.get(place), place)
        finally:
            await store.close()

    asyncio.run(kept(old, put=True))
    file = written(tmp_path, platform, f"{young} {old}")
    done = run("keys", "reseal", "-c", str(file))
    assert done.code == 0, done.err
    assert "Sealed anew: 1" in done.out + done.err
    assert b"r" * 20 in asyncio.run(kept(young))
    with pytest.raises(SealBroken):
        asyncio.run(kept(old))


def test_check_live_does_not_show_it(run, tmp_path, platform):
    file = written(tmp_path, platform, token_urlsafe(32))
    done = run("check", "--live", "-c", str(file))
    assert (
        "was not tried: its refresh token is shown by the running server alone"
        in done.out + done.err
    )
    assert platform.shown == []
