"""What is said of many spans is no further from the truth than a step is long."""

import json
import random
from itertools import pairwise
from statistics import quantiles

import pytest

from tokenward.server.latency import ENDS, Latency


def of(*spans):
    latency = Latency()
    for seconds in spans:
        latency.took(seconds)
    return latency


def test_no_step_is_more_than_half_as_long_again_as_the_one_before():
    assert ENDS[0] == 0.001
    assert ENDS[-1] == 10.0
    assert all(1 < high / low < 1.5 + 1e-9 for low, high in pairwise(ENDS))


def test_of_nothing_nothing_is_said():
    assert Latency().quantile(0.5) is None
    assert Latency().spans() == [0] * (len(ENDS) + 1) + [0.0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_the_middle_one_and_the_slowest_are_about_right(seed, share):
    made = random.Random(seed)  # noqa: S311 - nothing secret
    spans = [made.lognormvariate(-2.5, 0.7) for _ in range(2_000)]
    exact = quantiles(spans, n=100)[round(share * 100) - 1]
    found = of(*spans).quantile(share)
    assert found is not None
    assert 1 / 1.5 < found / exact < 1.5


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001, 0.12, 3.3, 10.0])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0])
def test_of_one_alone_its_step_is_said(seconds, share):
    found = of(seconds).quantile(share)
    low, high = next((a, b) for a, b in pairwise((0.0, *ENDS)) if seconds <= b)
    assert low < found <= high


def test_what_is_beyond_all_steps_is_said_to_take_as_long_as_the_last():
    assert of(60.0, 70.0).quantile(0.5) == 10.0
    assert of(0.01, 60.0).quantile(0.99) == 10.0


def test_those_of_several_are_added():
    one, other = of(0.01, 0.02), of(0.02, 99.0)
    one.add(other)
    assert one == of(0.01, 0.02, 0.02, 99.0)
    assert one.spans()[-1] == pytest.approx(99.05)


def test_what_was_written_is_read_again():
    latency = of(0.0, 0.001, 0.12, 0.12, 99.0)
    said = json.loads(json.dumps(latency.to_json()))
    assert Latency.from_json(**said) == latency
    assert said["counts"] == [[0.001, 2], [0.15, 2], [None, 1]]


def test_another_version_may_have_other_steps():
    read = Latency.from_json([(0.0009, 1), (0.17, 2), (25.0, 1), (None, 1)], 1.0)
    assert read.counts[0] == 1
    assert read.counts[ENDS.index(0.2)] == 2
    assert read.counts[-1] == 2
