"""Chains against a model that is slow and plain: whatever is done, the answers are the same."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.server.stores.kinds import SetClock
from tokenward.server.stores import Again, First, Theft, Unknown

FAMILIES = st.sampled_from(["red", "green"])
LIFETIMES = st.sampled_from([None, 5.0, 20.0, 100.0])
GRACES = st.sampled_from([0.0, 5.0, 10.0])


@dataclass
class Known:
    """All that ever happened to one key."""

    family: str
    until: float | None
    handed_out_by: str | None = None
    spent_at: float | None = None
    spent_for: str | None = None
    revoked: bool = False


class Model:
    def __init__(self, clock):
        self.clock = clock
        self.keys: dict[str, Known] = {}

    def exists(self, key):
        known = self.keys.get(key)
        if known is None or known.revoked:
            return False
        return known.until is None or self.clock() < known.until

    def is_live(self, key):
        return self.exists(key) and self.keys[key].spent_at is None

    def rotate(self, old, new, until, grace):
        if not self.exists(old):
            return Unknown()
        known = self.keys[old]
        if known.spent_at is None:
            known.spent_at, known.spent_for = self.clock(), new
            self.keys[new] = Known(known.family, until, handed_out_by=old)
            return First()
        if self.is_live(known.spent_for) and self.clock() - known.spent_at < grace:
            return Again(replay=answer(known.spent_for))
        self.revoke(known.family)
        return Theft(family=known.family)

    def revoke(self, family):
        for known in self.keys.values():
            known.revoked = known.revoked or known.family == family


def value(key):
    return f"value of {key}".encode()


def answer(key):
    return f"answer with {key}".encode()


class Comparison(RuleBasedStateMachine):
    kind = None

    @initialize()
    def start(self):
        self.folder = tempfile.TemporaryDirectory()
        self.clock = SetClock()
        self.model = Model(self.clock)
        self.runner = asyncio.Runner()
        self.store = self.kind.make(Path(self.folder.name), self.clock)
        self.do(self.store.open())

    def do(self, awaitable):
        return self.runner.run(awaitable)

    def new_key(self):
        return f"key {len(self.model.keys)}"

    @rule(family=FAMILIES, lifetime=LIFETIMES)
    def begin(self, family, lifetime):
        key, until = self.new_key(), self.until(lifetime)
        self.do(self.store.chains.begin(family, key, value(key), until=until))
        self.model.keys[key] = Known(family, until)

    @rule(back=st.integers(0, 5), lifetime=LIFETIMES, grace=GRACES)
    def rotate(self, back, lifetime, grace):
        old = f"key {len(self.model.keys) - 1 - back}"
        new, until = self.new_key(), self.until(lifetime)
        given = self.do(
            self.store.chains.rotate(old, new, value(new), answer(new), until=until, grace=grace)
        )
        assert given == self.model.rotate(old, new, until, grace)

    @rule(family=FAMILIES)
    def revoke(self, family):
        self.do(self.store.chains.revoke(family))
        self.model.revoke(family)

    @rule(seconds=st.sampled_from([1.0, 4.5, 5.0, 15.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule()
    def restart(self):
        self.do(self.store.close())
        self.do(self.store.open())

    @rule()
    def look_at_all(self):
        for key in self.model.keys:
            expected = value(key) if self.model.is_live(key) else None
            assert self.do(self.store.chains.look(key)) == expected

    def until(self, lifetime):
        return None if lifetime is None else self.clock.now + lifetime

    def teardown(self):
        self.look_at_all()
        self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()


def test_whatever_is_done_chains_answer_as_the_model_does(kind):
    of_kind = type("ComparisonOfKind", (Comparison,), {"kind": kind})
    run_state_machine_as_test(
        of_kind,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            database=None,
        ),
    )
