"""The figures: which ratio is the ratio, what is void, what is held, and how it is told."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import bench, report
from bench.contestants import OIDC, OURS
from bench.goals import GOALS, at_least, at_most, value
from bench.machine import machine
from bench.report import Report, aligned, number, tabled, write_readme
from bench.results import Results
from bench.rows import ASIDE, MICROSECONDS, PER_CPU, Row, proofs
from bench.rows.every import EVERY, like
from tests.docs import ROOT, examples

ROW = Row(name="tokens", unit=PER_CPU, measures={OURS: None, OIDC: None})


def results(row="tokens", **figures):
    """A run: each contestant's figures, round by round."""
    made = Results()
    for who, values in figures.items():
        for number_, it in enumerate(values, 1):
            made.add(row, who, number_, {"value": it, "p99_ms": it / 100})
    return made


def told(made, *rows):
    return Report(rows=rows or [ROW], results=made, machine=machine(None), rounds=3, quick=False)


def test_a_ratio_is_the_median_of_the_ratios_of_each_round():
    made = results(ours=[10, 100, 1000], theirs=[5, 10, 1000])
    assert made.ratio(("tokens", "ours"), ("tokens", "theirs")) == 2
    assert made.value("tokens", "ours") / made.value("tokens", "theirs") == 10


def test_only_rounds_that_both_have_count():
    made = results(ours=[10, 20, 30], theirs=[5])
    assert made.ratio(("tokens", "ours"), ("tokens", "theirs")) == 2
    assert made.ratio(("tokens", "ours"), ("tokens", "nobody")) is None
    assert made.value("tokens", "nobody") is None


def test_one_void_round_makes_the_row_void_for_good():
    made = results(ours=[10, 20], theirs=[5, 5])
    made.fail("tokens", "theirs", "3 of 100 answers were errors")
    made.add("tokens", "theirs", 3, {"value": 5.0})
    assert made.value("tokens", "theirs") is None
    assert made.ratio(("tokens", "ours"), ("tokens", "theirs")) is None
    assert "3 of 100 answers were errors" in told(made).text()


class Asking(Results):
    """Remembers what it was asked about."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def value(self, row, who, key="value"):
        self.asked.append((row, who))

    def ratio(self, one, other, key="value"):
        self.asked += [one, other]


@pytest.mark.parametrize("goal", GOALS, ids=lambda it: f"{it.number} {it.words}")
def test_every_goal_is_about_rows_that_there_are(goal):
    asking = Asking()
    assert goal.figure(asking) is None
    rows = {row.name: row for row in EVERY}
    assert asking.asked
    assert all(who in rows[row].measures for row, who in asking.asked)


def test_the_goals_are_those_that_were_set():
    assert {it.number for it in GOALS} == {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13}
    assert all((it.least is None) != (it.most is None) for it in GOALS)


@pytest.mark.parametrize(
    ("goal", "figure", "held", "short"),
    [
        (at_least(1, "x", value("tokens", OURS), 4.0), 4.0, True, 0),
        (at_least(1, "x", value("tokens", OURS), 4.0), 3.0, False, 0.25),
        (at_most(1, "x", value("tokens", OURS), 80.0), 80.0, True, 0),
        (at_most(1, "x", value("tokens", OURS), 80.0), 100.0, False, 0.25),
    ],
)
def test_a_goal_is_held_or_missed_by_a_share(goal, figure, held, short):
    assert (goal.held(figure), goal.short(figure)) == (held, short)


def test_what_was_not_measured_is_neither_held_nor_missed():
    made = told(Results(), *EVERY)
    assert made.missed() == []
    assert {line[-1] for line in made.goals()[1:]} == {"not measured"}
    assert len(made.goals()) == len(GOALS) + 1
    assert told(Results()).goals()[1:] == [], "a run of some rows is not about all goals"


def test_rows_have_names_of_their_own_and_are_found_by_them():
    names = [row.name for row in EVERY]
    assert len(names) == len(set(names))
    assert [row.name for row in like("jwks")] == ["public keys (JWKS)"]
    assert [row.name for row in like("verify*")] == [it for it in names if it.startswith("verify")]
    assert like("*") == EVERY
    assert like("nothing like it") == []


def test_the_table_tells_how_many_times_better_we_are_either_way():
    made = results(**{OURS: [30, 30, 30], OIDC: [10, 10, 10]})
    assert "3.00 ×" in told(made).text()
    slower = Row(name="tokens", unit=MICROSECONDS, measures=ROW.measures)
    assert "0.33 ×" in told(made, slower).text()


def test_a_table_is_aligned_in_a_terminal_and_escaped_in_markdown():
    lines = [["a", "b"], ["long|er", "1,000"], ["", "2.5 ×"]]
    assert aligned(lines) == ["a        b", "long|er  1,000", "         2.5 ×"]
    assert tabled(lines)[2] == "| long\\|er | 1,000 |"


@pytest.mark.parametrize(
    ("figure", "said"), [(31_874.2, "31,874"), (255.4, "255"), (4.284, "4.28"), (0.3512, "0.351")]
)
def test_figures_have_as_many_digits_as_mean_something(figure, said):
    assert number(figure) == said


def test_the_readme_has_a_place_for_each_table_and_nothing_else_changes(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(report.README.read_text())
    figures = results(**{OURS: [30, 30, 30], OIDC: [10, 10, 10]})
    for each, (fast, aside) in enumerate([(5000, 5000), (1000, 2000)]):
        who = list(proofs.ROWS[0].measures)[each]
        figures.add(proofs.CALLERS, who, 1, {"value": float(fast), ASIDE: float(aside)})
    made = told(figures, *EVERY, ROW)
    before = without_tables(page)
    write_readme(made, page)
    write_readme(made, page)
    assert without_tables(page) == before
    assert "| tokens | 30 | per CPU-second | oidc-provider 3.00 × |" in page.read_text()
    assert "| proofs of callers | jwt | 5,000 | 1.00 × |" in page.read_text()
    assert f"|  | {list(proofs.ROWS[0].measures)[1]} | 1,000 | 0.40 × |" in page.read_text()
    assert max(map(len, "".join(tables(page)).splitlines())) < 400


def test_a_run_of_the_proofs_leaves_the_other_table_as_it_is(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(report.README.read_text())
    whole, _ = tables(page)
    figures = Results()
    figures.add(*proofs.BASE, 1, {"value": 5000.0, ASIDE: 5000.0})
    write_readme(told(figures, *proofs.ROWS), page)
    same, written = tables(page)
    assert same == whole
    assert "| jwt | 5,000 | 1.00 × |" in written


PLACE = re.compile(r"<!-- bench(?:: proofs)? -->\n(.*?)<!-- end -->", re.DOTALL)


def tables(page):
    whole, of_proofs = PLACE.findall(page.read_text())
    return whole, of_proofs


def without_tables(page):
    return PLACE.sub("", page.read_text())


def test_a_page_without_a_place_is_left_alone(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# nothing\n")
    with pytest.raises(ValueError, match="no place"):
        write_readme(told(Results(), *EVERY), page)
    assert page.read_text() == "# nothing\n"


@pytest.mark.parametrize(
    "more", [["--quick"], ["--rows", "verify*"], ["--rows", "proofs*", "--quick"]]
)
def test_only_a_whole_run_gets_into_the_readme(more, capsys):
    before = report.README.read_bytes()
    assert bench.main(["--write-readme", *more]) == 2
    assert "leave --quick and --rows out" in capsys.readouterr().err
    assert report.README.read_bytes() == before


def test_the_machine_is_told_with_everything_that_matters():
    said = "\n".join(machine(None).lines())
    for word in ("AVX512-IFMA", "PGO", "GiB", "load", "Python 3.", "cryptography", "uvicorn"):
        assert word in said


def test_the_command_of_the_document_is_understood():
    assert "./tokenward bench" in examples("docs/howto/measure.md")["bench"].code
    asked = bench.options([])
    assert (asked.rounds, asked.seconds) == (5, 4)
    assert bench.options(["--quick"]).rounds == 1


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-P", ROOT / "bench" / "bench.py", *arguments],
        cwd=Path("/"),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_who_ends_it_early_gets_what_there_was(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-P", ROOT / "bench" / "bench.py", "--rows", "token exchange*"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "round 1" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "token exchange, ES256" in out
    assert "ended early" in err


def test_the_list_names_rows_and_who_is_in_them():
    listed = run("--list")
    assert listed.returncode == 0
    assert listed.stdout.count("\n") == len(EVERY)
    assert run("--rows", "nothing like it").returncode == 2


def test_a_quick_run_of_one_row_measures_both_lanes():
    done = run("--quick", "--rows", "token exchange*", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {row["who"]: row["void"] for row in said["rows"]} == {
        "tokenward": None,
        "tokenward (ASGI)": None,
    }
    assert all(row["median"] > 100 for row in said["rows"])
    assert all(row["rounds"]["1"]["p99_ms"] > 0 for row in said["rows"])
    assert said["quick"] is True
    assert [goal["held"] for goal in said["goals"]] == [None] * len(GOALS)
