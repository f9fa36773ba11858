"""What is said of figures: by token, caller, client and day."""

from tests.server.usage.asked import REFUSED, event
from tokenward.server.figures import Fetched, Figures, Handed
from tokenward.server.usage import Line, lines

THEIRS = frozenset({"itwin", "quiet"})


def first():
    """Forty of theirs for one fetch, three of ours."""
    figures = Figures()
    for number in range(40):
        figures.event(event("itwin", "mobile", "app" if number % 4 else ""))
    for _ in range(3):
        figures.event(event())
    figures.upstream("itwin").ended("fetched", 0.1)
    return figures


def second():
    """Trouble: a fetch for two, one error, somebody unknown; and a token that is no more."""
    figures = Figures()
    figures.event(event("itwin", "mobile", ""))
    figures.event(event("itwin", "mobile", ""))
    figures.event(event("itwin", "mobile", "", REFUSED))
    figures.event(event("", "", "", REFUSED))
    figures.upstream("itwin").ended("fetched", 0.2)
    figures.upstream("itwin").ended("errors", 10.0)
    figures.event(event("former", "nightly", "nightly"))
    figures.upstream("former").ended("fetched", 0.1)
    return figures


DAYS = {20_000: first(), 20_002: second()}


def said(line):
    fetched = line.fetched
    return (
        (line.handed.served, line.handed.refused),
        None if fetched is None else (fetched.fetched, line.avoided, fetched.errors),
    )


def test_by_token():
    found = lines(DAYS, "token", theirs=THEIRS)
    assert {name: said(line) for name, line in found.items()} == {
        "itwin": ((42, 1), (2, 40, 1)),
        "reports": ((3, 0), None),
        "": ((0, 1), None),
        "former": ((1, 0), (1, 0, 0)),
    }


def test_by_day():
    found = lines(DAYS, "day", theirs=THEIRS)
    assert {name: said(line) for name, line in found.items()} == {
        "2024-10-04": ((43, 0), (1, 39, 0)),
        "2024-10-06": ((3, 2), (2, 1, 1)),
    }
    assert list(found) == sorted(found)


def test_by_caller_and_client_nothing_is_said_of_fetches():
    callers = lines(DAYS, "caller", theirs=THEIRS)
    assert {name: said(line) for name, line in callers.items()} == {
        "mobile": ((42, 1), None),
        "nightly": ((4, 0), None),
        "": ((0, 1), None),
    }
    clients = lines(DAYS, "client", theirs=THEIRS)
    assert {name: said(line) for name, line in clients.items()} == {
        "app": ((30, 0), None),
        "nightly": ((4, 0), None),
        "": ((12, 2), None),
    }


def test_of_one_token_alone():
    found = lines(DAYS, "day", theirs=THEIRS, only="reports")
    assert {name: said(line) for name, line in found.items()} == {"2024-10-04": ((3, 0), None)}
    assert lines(DAYS, "token", theirs=THEIRS, only="nothing") == {}


def test_a_token_of_others_that_needed_no_fetch_these_days_is_one_of_theirs():
    figures = Figures()
    figures.event(event("quiet", "mobile", ""))
    found = lines({20_000: figures}, "token", theirs=THEIRS)
    assert said(found["quiet"]) == ((1, 0), (0, 1, 0))


def test_fetches_for_nobody_are_nothing_avoided():
    line = Line(theirs=1, fetched=Fetched(fetched=3))
    assert line.avoided == 0


def test_looking_changes_nothing():
    before = first()
    lines({20_000: before, 20_001: second()}, "token", theirs=THEIRS)
    assert before == first()
    assert before.handed["reports", "nightly", "nightly"] == Handed(served=3)
