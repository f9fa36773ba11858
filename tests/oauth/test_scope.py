"""Scopes are sets of scope tokens, and "no more than" is ``<=``."""

import pytest

from tokenward.oauth.errors import InvalidScope
from tokenward.oauth.scope import LONGEST, NOTHING, Scope


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("a", ["a"]),
        ("b a", ["a", "b"]),
        ("a  a", ["a"]),
        (" a ", ["a"]),
        ("itwins:read https://x/y#z !", ["!", "https://x/y#z", "itwins:read"]),
    ],
)
def test_a_scope_is_the_set_of_its_tokens(text, tokens):
    assert list(Scope.parse(text)) == tokens
    assert Scope.of(tokens) == Scope.parse(text)
    assert Scope.parse(str(Scope.parse(text))) == Scope.parse(text)


@pytest.mark.parametrize(
    "text", ['a"b', "a\\b", "a\tb", "a\nb", "ä", "a\x00", "a\x7fb", "a\u00a0b", "x" * (LONGEST + 1)]
)
def test_other_characters_are_refused(text):
    with pytest.raises(InvalidScope):
        Scope.parse(text)


def test_less_is_no_more_than():
    small, large = Scope.parse("a"), Scope.parse("a b")
    assert small <= large
    assert not large <= small
    assert small >= NOTHING
    assert small | Scope.parse("b") == large
    assert large & small == small
    assert str(large - small) == "b"
    assert "a" in small
    assert "b" not in small
    assert not NOTHING
