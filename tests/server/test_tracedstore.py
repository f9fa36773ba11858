"""A traced store answers as the store below it does, and says of writes that there were some."""

import re
from contextlib import contextmanager

import pytest
from opentelemetry.trace import SpanKind

from tests.collector import Collector
from tests.servers import Hands
from tokenward.server.settings.otel import OtelSettings
from tokenward.server.stores import First, StoreUnavailable, Theft, open_store
from tokenward.server.tracedstore import TracedStore
from tokenward.server.tracing import Traces, _here


@pytest.fixture
def names():
    return []


@pytest.fixture
async def store(names):
    @contextmanager
    def span(name):
        names.append(name)
        yield

    store = TracedStore(open_store("memory:", Hands()), span)
    await store.open()
    yield store
    await store.close()


async def test_the_shelf_is_the_shelf_below(store, names):
    shelf = store.shelf
    assert await shelf.add("a/1", b"one", until=None) is True
    assert await shelf.add("a/1", b"two", until=None) is False
    await shelf.put("a/2", b"two", until=None)
    assert await shelf.get("a/1") == b"one"
    assert await shelf.keys("a/") == ["a/1", "a/2"]
    assert await shelf.take("a/1") == b"one"
    assert await shelf.take("a/1") is None
    await shelf.drop("a/2")
    assert await shelf.keys("") == []
    assert names == [f"store {one}" for one in ("add", "add", "put", "take", "take", "drop")]


async def test_the_chains_are_the_chains_below(store, names):
    chains = store.chains
    await chains.begin("family", "1", b"one", until=None)
    assert await chains.look("1") == b"one"
    said = await chains.rotate("1", "2", b"two", b"replay", until=None, grace=0)
    assert isinstance(said, First)
    assert await chains.look("2") == b"two"
    said = await chains.rotate("1", "3", b"three", b"replay", until=None, grace=0)
    assert said == Theft(family="family")
    await chains.begin("other", "4", b"four", until=None)
    await chains.revoke("other")
    assert await chains.look("4") is None
    assert names == [f"store {one}" for one in ("begin", "rotate", "rotate", "begin", "revoke")]


async def test_all_else_is_as_it_was(store, names):
    number = await store.leases.hold("work", until=Hands().now + 60)
    assert number is not None
    assert await store.leases.release("work", number) is True
    assert store.path is None
    assert store.counts.writes > 0
    assert await store.ping() is None
    assert names == []


async def test_a_write_that_fails_says_so_and_not_what(names):
    with Collector() as collector:
        traces = Traces(OtelSettings(endpoint=collector.url))
        await traces.open()
        with traces.below("store put", SpanKind.INTERNAL) as nobody:
            assert nobody is None  # it is about no request: nobody's spans are of no use
        _here.set(traces._tracer.start_span("request"))
        for problem in (StoreUnavailable("of /var/lib/secret.db"), KeyError("secret")):
            with pytest.raises(type(problem)), traces.below("store put", SpanKind.INTERNAL):
                raise problem
        await traces.close()
        await traces.close()  # once is enough
    assert [(span.failed, span.said["error.type"]) for span in collector.spans] == [
        (True, "temporarily_unavailable"),
        (True, "KeyError"),
    ]
    assert not re.search(b"secret", b"".join(collector.bodies))
