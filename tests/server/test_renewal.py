"""Settings that change while the server runs: what is opened anew, and what ends."""

import asyncio
from dataclasses import replace
from secrets import token_urlsafe

import pytest

from tokenward.server.life import alive
from tokenward.server.renewal import Renewable
from tokenward.server.seal import SealBroken
from tokenward.server.settings import load


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "tokenward.toml"
    file.write_text(
        f"""
        issuer = "https://tokens.example.com"
        store  = "sqlite:{tmp_path}/kept.db"
        encryption_key = "${{KEY}}"
        """
    )
    return load(file, {"KEY": token_urlsafe(32)})


def watchers():
    return [task for task in asyncio.all_tasks() if task.get_name() == "tokenward-keyring"]


async def test_the_keys_are_looked_after_by_one_alone(settings):
    old, new = settings.encryption_key, token_urlsafe(32)
    server = Renewable(settings)
    async with alive(server.front):
        for keys in (f"{old} {new}", f"{new} {old}"):
            await server.renew(replace(settings, encryption_key=keys))
            await asyncio.sleep(0)
            assert len(watchers()) == 1
        [watching] = watchers()
        with pytest.raises(SealBroken, match="sealed with another encryption key"):
            await server.renew(replace(settings, encryption_key=new))
        await asyncio.sleep(0)
        assert watchers() == [watching], "who could not begin has not taken over"
    await asyncio.sleep(0)
    assert watchers() == []


def meters():
    return [task for task in asyncio.all_tasks() if task.get_name() == "tokenward-meter"]


async def test_one_meter_goes_on_counting(settings):
    server = Renewable(settings)
    async with alive(server.front):
        meter, [keeping] = server._server.meter, meters()
        await server.renew(replace(settings, encryption_key=settings.encryption_key))
        assert server._server.meter is meter
        assert server._server.theirs.heard == meter.upstream
        assert meters() == [keeping]
    assert meters() == []


async def test_what_an_issuer_of_ours_signs_for_is_asked_with_the_keys_of_the_new_settings(
    tmp_path,
):
    file = tmp_path / "tokenward.toml"
    fetched = (
        'client_id = "us"\nupstream = "client_credentials"\ntoken_endpoint = "https://x/token"\n'
    )
    file.write_text(
        f"""
        issuer = "https://tokens.example.com"
        store  = "sqlite:{tmp_path}/kept.db"
        [tokens.signed]
        assertion = "self"
        {fetched}
        [tokens.plain]
        client_secret = "${{SECRET}}"
        {fetched}
        """
    )
    settings = load(file, {"SECRET": "s3cret-of-ours"})
    server = Renewable(settings)
    async with alive(server.front):
        before = dict(server._server.theirs.brokers)
        await server.renew(replace(settings, encryption_key=settings.encryption_key))
        after = server._server.theirs.brokers
        assert after["plain"] is before["plain"]
        assert after["signed"] is not before["signed"]
