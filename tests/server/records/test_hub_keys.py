"""Hub keys in the database: what is kept of them, how they end, and what a list has."""

import pytest

from tokenward.server.records.hubkeys import HubKey, HubKeys
from tokenward.server.records.migrating import migrate
from tokenward.server.records.numbering import Refused

ONE = HubKey(key="b" + "a" * 26, caller="notes", type="user", secured=True)
TWO = HubKey(key="bm" + "a" * 25, caller="notes", type="account", secured=False)


@pytest.fixture
def keys(engine, clock):
    migrate(engine)
    return HubKeys(engine=engine, clock=clock)


def test_what_is_kept_is_what_is_found(keys, clock):
    assert keys.edition() == (0, ())
    made = keys.add(ONE)
    assert (made.key, made.secured, made.made, made.disabled) == (ONE.key, True, clock(), None)
    clock.now = clock() + 1
    other = keys.add(TWO)
    assert (other.type, other.secured) == ("account", False)
    assert keys.all() == [made, other]
    assert keys.edition() == (2, (made, other))


def test_a_key_that_was_disabled_is_kept_and_in_no_list(keys, clock):
    keys.add(ONE)
    other = keys.add(TWO)
    ended = keys.disable(ONE.key)
    assert ended.disabled == clock()
    assert keys.edition() == (3, (other,))
    assert keys.disable(ONE.key) == ended
    assert keys.edition()[0] == 3
    assert len(keys.all()) == 2


def test_a_key_that_was_disabled_never_comes_back(keys):
    keys.add(ONE)
    for _ in range(2):
        with pytest.raises(Refused, match="there is a key"):
            keys.add(HubKey(key=ONE.key, caller="others", type="user", secured=False))
        keys.disable(ONE.key)
    assert keys.edition()[1] == ()


def test_what_there_is_not_cannot_be_disabled(keys):
    with pytest.raises(Refused, match="there is no key"):
        keys.disable(ONE.key)
    assert keys.edition()[0] == 0
