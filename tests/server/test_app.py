"""The composition: which path leads where, what is imported, and what survives a restart."""

import json
import subprocess
import sys

import pytest

from tests.world import SECRET, claims_of, header_of
from tokenward.clock import now
from tokenward.server.app import Server
from tokenward.server.doors import paths
from tokenward.server.settings import ConfigError, load

CLASH = """
store = "memory:"
[issuers.main]
url = "https://tokens.example.com{first}"
{profile}
[issuers.other]
url = "https://tokens.example.com{second}"
[tokens.a]
from = "main"
audience = "a"
[tokens.b]
from = "other"
audience = "b"
"""


def settings(tmp_path, text):
    file = tmp_path / "tokenward.toml"
    file.write_text(text)
    return load(file, {})


def test_issuers_with_paths_of_their_own_do_not_clash(tmp_path):
    found = paths(settings(tmp_path, CLASH.format(first="", profile="", second="/other")))
    assert found["/token"] == "issuers.main"
    assert found["/other/token"] == "issuers.other"
    assert found["/getToken"] == "the server itself"


@pytest.mark.parametrize(
    ("first", "second"),
    [("/a", "/a/"), ("", "/")],
)
def test_two_issuers_that_want_the_same_path_are_refused(tmp_path, first, second):
    clash = settings(tmp_path, CLASH.format(first=first, profile="", second=second))
    with pytest.raises(ConfigError) as refused:
        paths(clash)
    assert "issuers.other.url" in str(refused.value)
    with pytest.raises(ConfigError):
        Server(settings=clash, clock=now).front()


async def test_what_is_fleeting_is_on_redis_if_there_is_one_else_in_the_store(tmp_path, redis):
    text = CLASH.format(first="", profile="", second="/other")
    server = Server(settings=settings(tmp_path, text), clock=now)
    assert server.cache is server.store.shelf
    await server.close()

    server = Server(settings=settings(tmp_path, f'cache = "{redis.url()}"\n{text}'), clock=now)
    await server.open()
    await server.cache.put("fleeting", b"value", until=None)
    assert await server.cache.get("fleeting") == b"value"
    assert await server.store.shelf.get("fleeting") is None
    await server.cache.drop("fleeting")
    await server.close()


def test_a_worker_that_serves_tokens_stays_small():
    """The import budget: what only pages, databases or a command line need is not there."""
    script = """
import json, sys
import tokenward.server.__main__, tokenward.server.settings
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert "uvicorn" in loaded
    heavy = {"sqlalchemy", "alembic", "typer", "rich", "jinja2", "pydantic", "starlette"}
    assert not loaded & heavy


def test_the_client_and_the_verifier_need_nothing_of_the_server():
    script = """
import json, sys
import tokenward, tokenward.client, tokenward.verifier
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert "tokenward.client" in loaded
    assert not {name for name in loaded if name.startswith("tokenward.server")}
    assert not loaded & {"uvicorn", "starlette", "typer", "stamina", "jinja2", "fastapi"}


async def test_keys_survive_a_restart_and_nothing_secret_is_in_the_clear(worlds, tmp_path):
    store = f"sqlite:{tmp_path}/tokenward.db"
    kids = []
    for _ in range(2):
        async with worlds(store=store) as world:
            token = (await world.token(audience="reports")).json()["access_token"]
            await world.get_token(world.user_token())
            kids.append(header_of(token)["kid"])
            private = [key.to_bytes() for key in (await world.ring("main")).keys]
    assert kids[0] == kids[1]
    for file in tmp_path.iterdir():
        kept = file.read_bytes()
        assert SECRET.encode() not in kept
        assert all(key[-40:] not in kept for key in private)


async def test_several_servers_share_one_database(worlds, tmp_path):
    store = f"sqlite:{tmp_path}/tokenward.db"
    async with worlds(store=store) as one, worlds(store=store) as two:
        first = (await one.token(audience="reports")).json()["access_token"]
        second = (await two.token(audience="reports")).json()["access_token"]
    assert header_of(first)["kid"] == header_of(second)["kid"]
    assert claims_of(first)["jti"] != claims_of(second)["jti"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health(world, path):
    assert (await world.http.get(path)).status_code == 200


async def test_a_store_that_cannot_be_reached_is_503_and_nobody_loses_their_keys(worlds, tmp_path):
    async with worlds(store=f"sqlite:{tmp_path}/tokenward.db") as world:
        token = (await world.token(audience="reports")).json()["access_token"]
        (tmp_path / "tokenward.db").rename(tmp_path / "elsewhere.db")
        revoked = await world.http.post("/revoke", data={"token": token}, auth=("nightly", SECRET))
        assert revoked.status_code == 503
        assert revoked.headers["retry-after"]
        assert (await world.http.get("/readyz")).status_code == 503
        assert (await world.http.get("/healthz")).status_code == 200
        assert (await world.http.get("/.well-known/jwks.json")).status_code == 200
        assert (await world.token(audience="reports")).status_code == 200
        (tmp_path / "elsewhere.db").rename(tmp_path / "tokenward.db")
        assert (await world.http.get("/readyz")).status_code == 200
