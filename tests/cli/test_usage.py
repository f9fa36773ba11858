"""``tokenward usage``: what people and programs are told of figures that real servers kept."""

import asyncio
import json
import os
import signal
import sys
import time

import pytest

from tests.cli import processes
from tests.cli.processes import Load, Served
from tests.docs import ROOT
from tests.server.usage.asked import REFUSED, event
from tests.world import FILE
from tokenward.cli.tables import bar, count, percent, short, span
from tokenward.clock import now
from tokenward.server.figures import Figures, Handed, to_bytes
from tokenward.server.rows import date_of, day_of, ends, row_of
from tokenward.server.stores import open_store
from tokenward.server.usage import read

QUICK = """
import sys
from tokenward.server import meter
meter.EVERY = 0.1
from tokenward.server.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
"""A server that keeps its figures more often than anybody would wait for in a test."""

TODAY = day_of(time.time())


# ── servers that run ──


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "program", lambda _, *rest: [sys.executable, "-c", QUICK, *rest])
    made = Served(folder=tmp_path, listen="workers = 2")
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


def kept(folder):
    """How many tokens were handed out, as the store knows it."""

    async def run():
        store = open_store(f"sqlite://{folder / 'kept.db'}", now)
        await store.open()
        try:
            days = (await read(store.shelf, TODAY, TODAY + 1)).days.values()
        finally:
            await store.close()
        return sum(it.served for figures in days for it in figures.handed.values())

    return asyncio.run(run())


def ask(served, times):
    assert [served.ask()[0] for _ in range(times)] == [200] * times


def test_two_workers_a_killed_one_and_a_restart_are_counted_once(served, run, monkeypatch):
    served.start()
    ask(served, 40)
    served.until(lambda: kept(served.folder) == 40)
    served.kill(served.workers()[0])
    ask(served, 10)
    assert served.stop() == 0
    assert kept(served.folder) == 50
    served.start()
    ask(served, 5)
    assert served.stop() == 0
    monkeypatch.chdir(served.folder)
    (row,) = run("usage", "--by", "client", "--json").json["rows"]
    assert row == {"client": "nightly", "served": 55, "refused": 0}


def test_who_is_killed_while_asked_loses_little_and_counts_nothing_twice(served):
    served.start()
    with Load(served, 4) as load:
        load.more(100)
        served.until(lambda: kept(served.folder) >= 50)
        for worker in served.workers():
            before = kept(served.folder)
            os.kill(worker, signal.SIGKILL)
            assert kept(served.folder) >= before
            load.more(50)
    assert served.stop() == 0
    heard = load.heard[200]
    unheard = sum(load.heard.values()) - heard  # of those, some had been counted
    assert before + 50 <= kept(served.folder) <= heard + unheard


# ── what is said ──


@pytest.fixture
def place(here, monkeypatch):
    """A folder with a configuration and a store, and a way to put a row into it."""
    monkeypatch.setenv("UPSTREAM_SECRET", "s" * 40)
    text = FILE.format(
        store="sqlite:kept.db",
        audit="audit.jsonl",
        friend="https://friend.example.com",
        audience="https://api.example.com",
        nightly="sha256:" + "0" * 64,
        api="sha256:" + "1" * 64,
        upstream="https://upstream.example.com/token",
    )
    (here / "tokenward.toml").write_text(text)

    def put(day, row, whose="0a1b"):
        async def done():
            store = open_store("sqlite:kept.db", now)
            await store.open()
            await store.shelf.put(row_of(day, whose), row, until=ends(day))
            await store.close()

        asyncio.run(done())

    return put


def busy(scale=1):
    figures = Figures()
    for _ in range(420 * scale):
        figures.event(event("itwin", "mobile", ""))
    for _ in range(105 * scale):
        figures.event(event())
    figures.event(event("", "", "", REFUSED))
    for _ in range(6):
        figures.upstream("itwin").ended("fetched", 0.12)
    figures.upstream("itwin").ended("errors", 9.0)
    return figures


def test_people_see_a_table_and_what_was_saved(run, place):
    place(TODAY, to_bytes(busy()))
    said = run("usage")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"{date_of(TODAY - 6)} to {date_of(TODAY)}",
        "token             served            refused fetched avoided errors median    p99",
        "itwin                420 ██████████       0       6   98.6%      1 129 ms  9.9 s",
        "reports              105 ██▌              0",
        "(none decided)         0                  1",
        "all                  525                  1       6   98.6%      1 129 ms  9.9 s",
        "",
        "414 of 420 tokens of others needed no fetch: 98.6%.",
    ]


def test_what_the_documents_show_is_what_is_shown(run, place):
    figures = Figures()
    figures.handed = {
        ("itwin", "mobile", ""): Handed(served=12_345, refused=3),
        ("reports", "nightly", "nightly"): Handed(served=3_210),
        ("", "", ""): Handed(refused=41),
    }
    for _ in range(168):
        figures.upstream("itwin").ended("fetched", 0.12)
    for _ in range(2):
        figures.upstream("itwin").ended("errors", 1.3)
    place(TODAY, to_bytes(figures))
    page = (ROOT / "docs" / "howto" / "watch-it.md").read_text()
    shown = page.partition("$ tokenward usage\n")[2].partition("```")[0]
    said = run("usage").out
    assert shown.splitlines()[1:] == said.splitlines()[1:]


@pytest.mark.parametrize("by", ["token", "caller", "client", "day"])
@pytest.mark.parametrize("scale", [1, 400])
def test_a_table_fits_a_terminal_of_80_columns(run, place, by, scale):
    figures = busy(scale)
    figures.event(event("n" * 60, "n" * 60, "n" * 60))
    place(TODAY, to_bytes(figures))
    place(TODAY - 3, to_bytes(figures))
    said = run("usage", "--by", by)
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80
    assert "\x1b" not in said.out


def test_programs_get_all_of_it(run, place):
    place(TODAY, to_bytes(busy()))
    said = run("usage", "--json").json
    itwin, reports, nothing = said.pop("rows")
    assert said == {
        "ok": True,
        "since": date_of(TODAY - 6),
        "until": date_of(TODAY),
        "by": "token",
    }
    assert 0.1 < itwin.pop("median") <= 0.15
    assert 8 < itwin.pop("p99") <= 10
    assert itwin == {
        "token": "itwin",
        "served": 420,
        "refused": 0,
        "fetched": 6,
        "avoided": 414,
        "avoided_share": pytest.approx(414 / 420),
        "errors": 1,
        "left_alone": 0,
    }
    assert reports == {"token": "reports", "served": 105, "refused": 0}
    assert nothing == {"token": "", "served": 0, "refused": 1}


def test_each_day_is_a_line_those_on_which_nobody_asked_too(run, place):
    place(TODAY - 3, to_bytes(busy()))
    place(TODAY, to_bytes(busy()), whose="one")
    place(TODAY, to_bytes(busy()), whose="other")
    rows = run("usage", "itwin", "--by", "day", "--json").json["rows"]
    assert [(row["day"], row["served"]) for row in rows] == [
        (date_of(TODAY - 3), 420),
        (date_of(TODAY - 2), 0),
        (date_of(TODAY - 1), 0),
        (date_of(TODAY), 840),
    ]
    assert rows[0]["fetched"] == 6


@pytest.mark.parametrize(
    ("since", "days"),
    [
        ("1d", {0}),
        ("1h", {0}),
        ("2d", {0, 1}),
        ("36h", {0, 1}),
        (date_of(TODAY - 1), {0, 1}),
        (date_of(TODAY + 9), {0}),
        ("400d", {0, 1, 300}),
    ],
)
def test_how_far_back_is_said_in_days_or_as_a_date(run, place, since, days):
    for back in (0, 1, 300):
        place(TODAY - back, to_bytes(busy()))
    rows = run("usage", "--by", "day", "--since", since, "--json").json["rows"]
    there = {TODAY - back for back in days}
    assert {row["day"] for row in rows if row["served"]} == set(map(date_of, there))


@pytest.mark.parametrize("since", ["", "7", "week", "2026-02-30", "-1d", "1.5d"])
def test_any_other_since_is_not_understood(run, place, since):
    said = run("usage", f"--since={since}")
    assert said.code == 2
    assert "--since" in said.err


def test_who_never_asked_is_said_in_words(run, place):
    said = run("usage")
    assert said.code == 0
    assert "nobody asked for a token in these days" in said.out
    assert run("usage", "--json").json["rows"] == []
    assert "nobody" in run("usage", "reports", "--by", "day").out


def test_a_token_that_there_is_not_is_said(run, place):
    place(TODAY, to_bytes(busy()))
    said = run("usage", "itwn")
    assert (said.code, said.out) == (1, "")
    assert "there is no token 'itwn'" in said.err
    assert "itwin" in said.err
    assert run("usage", "itwn", "--json").json["ok"] is False


def test_what_is_only_in_memory_is_in_nobody_elses_reach(run, place, here):
    file = here / "tokenward.toml"
    file.write_text(file.read_text().replace("sqlite:kept.db", "memory:"))
    said = run("usage")
    assert said.code == 1
    assert "memory:" in said.err


def test_a_store_that_cannot_be_had_is_said(run, place, here):
    (here / "kept.db").write_bytes(b"no database at all" * 100)
    said = run("usage", "--json")
    assert said.code == 1
    assert "cannot be had" in said.json["error"]


def test_rows_of_another_version_are_said_to_be_left_out(run, place):
    place(TODAY, to_bytes(busy()))
    place(TODAY, b'{"version":99}', whose="newer")
    said = run("usage", "--json")
    assert said.json["rows"][0]["served"] == 420
    assert "1 rows of another version" in said.err


# ── numbers ──


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (999, "999"),
        (12_345, "12,345"),
        (99_999, "99,999"),
        (100_000, "100k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (1_234_567, "1.23M"),
        (5_000_000_000, "5G"),
        (7 * 10**14, "700T"),
    ],
)
def test_numbers_are_short(number, said):
    assert count(number) == said
    assert len(said) <= 7


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.0004, "<1 ms"),
        (0.12, "120 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (10.0, "10.0 s"),
    ],
)
def test_spans_are_short(seconds, said):
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, ""), (0, 5, "0.0%"), (1, 3, "33.3%"), (99_999, 100_000, "99.9%"), (5, 5, "100.0%")],
)
def test_all_is_only_said_of_all(part, whole, said):
    assert percent(part, whole) == said


class Terminal:
    encoding = "utf-8"


class Old:
    encoding = "ascii"


@pytest.mark.parametrize(
    ("number", "most", "drawn", "plain"),
    [
        (0, 0, "", ""),
        (0, 8, "", ""),
        (8, 8, "████", "####"),
        (4, 8, "██", "##"),
        (5, 8, "██▌", "##"),
        (1, 10_000, "▏", "#"),
    ],
)
def test_bars_are_as_long_as_what_they_say(number, most, drawn, plain):
    assert bar(number, most, 4, Terminal()) == drawn.ljust(4)
    assert bar(number, most, 4, Old()) == plain.ljust(4)


def test_a_name_that_is_long_is_cut():
    assert short("reports", 16) == "reports"
    assert short("n" * 17, 16) == "n" * 15 + "…"
    assert len(short("n" * 60, 16)) == 16


def test_the_json_of_nothing_has_no_share(run, place):
    figures = Figures()
    figures.upstream("itwin").ended("errors", None)
    place(TODAY, to_bytes(figures))
    (row,) = json.loads(run("usage", "--json").out)["rows"]
    assert (row["avoided_share"], row["median"], row["errors"]) == (None, None, 1)
