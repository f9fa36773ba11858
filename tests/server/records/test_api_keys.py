"""API keys in the database: who may have one, how they end, and what a list has."""

from math import inf

import pytest

from tokenward.server.apikeys import Entry
from tokenward.server.records.apikeys import ApiKeys
from tokenward.server.records.migrating import migrate
from tokenward.server.records.numbering import Refused


def entry(id="one", **more):
    said = {
        "caller": "scripts",
        "name": "nightly",
        "owner": "ann",
        "claims": {"groups": ["a", "b"], "team": "ö"},
        "digest": "0f" * 32,
    }
    return Entry(id=id, **said | more)


@pytest.fixture
def keys(engine, clock):
    migrate(engine)
    return ApiKeys(engine=engine, clock=clock)


def test_what_is_kept_is_what_is_found(keys, clock):
    assert keys.edition() == (0, ())
    made = keys.add(entry(expires=clock() + 60))
    assert (made.entry, made.made, made.revoked) == (entry(expires=clock() + 60), clock(), None)
    keys.add(entry("two"))
    assert [it.entry.id for it in keys.all()] == ["one", "two"]
    assert keys.all()[1].entry.expires == inf
    assert keys.edition() == (2, (made.entry, entry("two")))


def test_a_key_that_was_revoked_is_kept_and_in_no_list(keys, clock):
    keys.add(entry())
    keys.add(entry("two"))
    revoked = keys.revoke("one")
    assert (revoked.revoked, revoked.state(clock())) == (clock(), "revoked")
    assert keys.edition() == (3, (entry("two"),))
    assert keys.revoke("one") == revoked
    assert keys.edition()[0] == 3
    assert len(keys.all()) == 2


def test_a_key_ends_sooner_and_never_later(keys, clock):
    keys.add(entry(expires=clock() + 60))
    with pytest.raises(Refused, match="no key is good for longer than it was"):
        keys.expire("one", clock() + 61)
    assert keys.expire("one", clock() + 10).entry.expires == clock() + 10
    clock.now = clock() + 10
    assert keys.all()[0].state(clock()) == "expired"
    assert keys.edition()[1] == ()
    with pytest.raises(Refused, match="is expired already"):
        keys.expire("one", clock())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "two", "owner": "bob"}, "nightly has a key already that ann is responsible for"),
        ({}, "there is a key one already"),
    ],
)
def test_a_name_is_one_owners(keys, change, reason):
    keys.add(entry())
    with pytest.raises(Refused, match=reason):
        keys.add(entry(**change))
    assert keys.edition() == (1, (entry(),))
    keys.add(entry("three", owner="bob", caller="others"))
    keys.revoke("one")
    keys.add(entry("four", owner="bob"))


@pytest.mark.parametrize("what", ["revoke", "expire"])
def test_there_is_no_key_that_nobody_made(keys, what):
    with pytest.raises(Refused, match="there is no key one"):
        keys.revoke("one") if what == "revoke" else keys.expire("one", 1.0)
    assert keys.edition() == (0, ())
