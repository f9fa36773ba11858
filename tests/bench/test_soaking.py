"""The verdict of a soak: what holds, what does not, and what is too little to say anything."""

import re
import shlex

import pytest

from bench import soak
from bench.processes import Cores
from bench.soaking import watching
from bench.soaking.kinds import MIX, order
from bench.soaking.verdict import all_answered, ended_well, judge, warm_up
from bench.soaking.watching import Sample, Watch
from tests.docs import ROOT, examples

MIB = 2**20


def samples(*, minutes=60, memory=lambda _: 60.0, descriptors=lambda _: 40, rate=1000.0, waiting=5):
    """A run: memory in MiB and descriptors by the minute."""
    return [
        Sample(
            at=float(at),
            asked=int(rate * 10),
            rate=rate,
            p50_ms=1.0,
            p99_ms=4.0,
            worst_ms=9.0,
            errors=0,
            busy=0.5,
            under_way=waiting,
            rss=int(memory(at / 60) * 2 * MIB),
            pss=int(memory(at / 60) * MIB),
            descriptors=descriptors(at / 60),
            threads=3,
            database=MIB,
            trail=MIB,
        )
        for at in range(10, minutes * 60 + 1, 10)
    ]


def held(found):
    return {it.name: it.held for it in found}


def test_a_run_in_which_nothing_changes_holds():
    found = judge(samples(), rate=1000)
    assert held(found) == {"memory": True, "descriptors": True, "load": True}


def test_what_grows_in_the_warm_up_does_not_count():
    run = samples(memory=lambda minute: min(60, 30 + 3 * minute))
    assert held(judge(run, rate=1000))["memory"]


@pytest.mark.parametrize(
    "memory",
    [
        lambda minute: 60 + 0.1 * minute,
        lambda minute: 60 - 0.1 * minute,
        lambda minute: 60 + (minute > 35) * 5,
    ],
    ids=["grows slowly", "shrinks", "a step in the middle"],
)
def test_memory_that_does_not_stay_is_missed(memory):
    assert not held(judge(samples(memory=memory), rate=1000))["memory"]


def test_one_peak_of_memory_decides_nothing():
    run = samples(memory=lambda minute: 90 if minute == 30 else 60)
    assert held(judge(run, rate=1000))["memory"]


@pytest.mark.parametrize("far", [-25, 25])
def test_descriptors_that_stray_once_are_missed(far):
    run = samples(descriptors=lambda minute: 40 + far * (minute == 30))
    assert not held(judge(run, rate=1000))["descriptors"]


@pytest.mark.parametrize(
    "how", [{"rate": 900.0}, {"waiting": 5000}], ids=["asked too rarely", "answers fall behind"]
)
def test_a_load_that_never_was_is_missed(how):
    found = judge(samples(**how), rate=1000)
    assert held(found) == {"memory": True, "descriptors": True, "load": False}


@pytest.mark.parametrize("run", [samples(minutes=1), []], ids=["a minute", "nothing"])
def test_too_short_a_run_says_nothing_and_does_not_hold(run):
    found = judge(run, rate=1000)
    assert not held(found)["memory"]
    assert "too short" in found[0].words


def test_an_hour_has_ten_minutes_to_warm_up_and_less_has_less():
    assert [warm_up(minutes * 60) for minutes in (1, 6, 30, 60, 600)] == [60, 60, 300, 600, 600]


def test_a_single_error_is_too_many(tmp_path):
    watch = Watch(ours=None)
    assert not all_answered(watch).held, "nobody asked"
    watch.asked, _ = 2, watch.answer(0.1)
    assert all_answered(watch).held
    watch.problem("keys", "404 instead of 200")
    assert not all_answered(watch).held
    assert watch.problems == {"keys: 404 instead of 200": 1}


def test_thousands_of_different_errors_do_not_fill_the_verdict():
    watch = Watch(ours=None)
    for number in range(1_000):
        watch.problem("keys", f"error {number}")
        watch.problem("keys", "error 0")
    assert len(watch.problems) == watching.EXAMPLES
    assert (watch.problems["keys: error 0"], watch.errors) == (1_001, 2_000)


@pytest.mark.parametrize(("said", "code"), [(["an error"], 0), ([], 1), ([], -9)])
def test_a_server_that_complains_or_dies_is_missed(said, code):
    assert ended_well([], 0).held
    assert not ended_well(said, code).held


def test_samples_are_read_as_they_were_written(tmp_path):
    run = samples(minutes=2)
    for sample in run:
        watching.write(sample, tmp_path / "soak.jsonl")
    assert watching.read(tmp_path / "soak.jsonl") == run


def test_a_thousand_are_a_thousand_and_always_in_the_same_order():
    assert sum(MIX.values()) == len(order()) == 1_000
    assert order() == order()
    assert {kind: order().count(kind) for kind in MIX} == MIX


def test_server_and_load_have_a_core_each_where_there_are_two():
    cores = Cores.ours()
    assert len(cores.server) == len(cores.load) == 1
    assert cores.apart is bool(cores.server != cores.load)


def test_the_document_counts_those_who_ask_as_we_do():
    page = (ROOT / "docs/howto/measure.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    told = {words: int(many) for many, words in rows}
    assert sum(told.values()) == 1_000
    assert [it for it in MIX.values() if it >= 50] == sorted(
        (it for it in told.values() if it >= 50), reverse=True
    )


def test_the_command_of_the_document_is_understood():
    (command,) = [it.code for it in examples("docs/howto/measure.md").values() if "soak" in it.code]
    assert soak.options(shlex.split(command)[2:]).minutes == 60
