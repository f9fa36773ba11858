"""PostgreSQL over TLS: what the URL demands is what is checked."""

import asyncio
from contextlib import suppress

import psycopg
import pytest

from tests.remote.test_clients import Authority
from tests.server.stores.kinds import in_schema, schema
from tokenward.server.stores import StoreUnavailable, open_store
from tokenward.server.stores.postgres import PostgreSQL


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def port(postgresql, authority):
    """Where the server is reached by TLS, as a proxy before it would have it."""
    context = authority.server_context()
    context.set_alpn_protocols(["postgresql"])

    carrying = set()

    async def carry(reader, writer):
        carrying.add(asyncio.current_task())
        there = await asyncio.open_connection("127.0.0.1", postgresql.port)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    async def pipe(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*carrying)


@pytest.fixture
def make(database, port, postgresql, clock, tmp_path):
    """Makes stores that are reached there."""
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema(tmp_path)}".encode())

    def make(options, patience=1):
        url = in_schema(database, schema(tmp_path)).replace(f":{postgresql.port}/", f":{port}/")
        store = open_store(f"{url}&sslnegotiation=direct&{options}", clock)
        return PostgreSQL(store._given, clock, patience=patience)

    return make


async def test_what_is_asked_over_tls_comes_back_whole(make, authority):
    store = make(f"sslmode=verify-full&sslrootcert={authority.file}", patience=20)
    await store.open()
    try:
        for size in (0, 1, 8_000, 16_383, 16_384, 16_385, 70_000, 3_000_000):
            value = bytes(range(256)) * (size // 256) + bytes(size % 256)
            keys = [f"{size} {n}" for n in range(5)]
            await asyncio.gather(*(store.shelf.put(key, value, until=None) for key in keys))
            assert await asyncio.gather(*(store.shelf.get(key) for key in keys)) == [value] * 5
    finally:
        await store.close()  # whoever carries waits for that


@pytest.mark.parametrize("stranger", ["authority", "host"])
async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(
    make, authority, tmp_path, stranger
):
    if stranger == "authority":
        other = Authority(tmp_path)
        store = make(f"sslmode=verify-full&sslrootcert={other.file}")
    else:
        store = make(f"sslmode=verify-full&sslrootcert={authority.file}")
        store._given |= {"host": "localhost", "hostaddr": "127.0.0.1"}
    with pytest.raises(StoreUnavailable, match=r"certificate verify failed|does not match host"):
        await store.open()
