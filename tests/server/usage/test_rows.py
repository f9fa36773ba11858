"""Places say which day and whose, and days are those of UTC."""

import pytest

from tokenward.server.rows import ALL, KEPT, date_of, day_named, day_of, ends, placed, row_of


@pytest.mark.parametrize(
    ("moment", "date"),
    [
        (0, "1970-01-01"),
        (1_763_683_199.999, "2025-11-20"),
        (1_763_683_200, "2025-11-21"),
        (1_763_769_599.999, "2025-11-21"),
        (1_709_164_800, "2024-02-29"),
    ],
)
def test_each_moment_has_its_day(moment, date):
    assert date_of(day_of(moment)) == date
    assert day_named(date) == day_of(moment)


@pytest.mark.parametrize("text", ["", "7d", "2026-02-30", "2026-13-01", "today", "2026-11-21x"])
def test_what_is_no_date_names_no_day(text):
    assert day_named(text) is None


def test_a_place_says_which_day_and_whose():
    assert row_of(20_413, ALL) == "usage/2025-11-21/all"
    assert placed("usage/2025-11-21/0a1b") == (20_413, "0a1b")
    assert placed("usage/whenever/0a1b")[0] is None


def test_rows_are_kept_for_more_than_a_year():
    assert KEPT > 366
    assert day_of(ends(20_413)) == 20_413 + KEPT
