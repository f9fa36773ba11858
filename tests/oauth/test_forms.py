"""Forms are read strictly, because two readers that guess differently are how attacks get in."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenward.oauth import forms, messages, presented
from tokenward.oauth.errors import InvalidRequest


def test_what_grants_and_tokens_are_called_is_read_in_every_spelling():
    names = [it for it in {**vars(messages), **vars(presented)}.values() if _is_name(it)]
    assert len(names) == 7
    for name in names:
        usual = urlencode({"a": name}).encode()
        for body in (usual, usual.lower(), usual.replace(b"%3A", b"%3a", 1), f"a={name}".encode()):
            assert forms.parse(body) == [("a", name)]
        longer = usual + b"%3A"
        assert forms.parse(longer) == [("a", name + ":")]
    assert set(forms._NAMES.values()) == set(names)


def _is_name(value):
    return isinstance(value, str) and value.startswith("urn:ietf:params:oauth:")


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (b"", []),
        (b"a=1", [("a", "1")]),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a=", [("a", "")]),
        (b"a", [("a", "")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"&&a=1&", [("a", "1")]),
        (b"scope=itwin-platform+itwins%3Aread", [("scope", "itwin-platform itwins:read")]),
        (b"%61=%E2%82%AC", [("a", "\u20ac")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=x%09y", [("a", "x\ty")]),
    ],
)
def test_well_formed_forms(body, pairs):
    assert forms.parse(body) == pairs


@pytest.mark.parametrize(
    "body",
    [
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=%u0041",
        b"a=%ff",
        b"a=\xff",
        b"a=%c0%af",
        b"a=%00",
        b"a=x%0d%0ay",
        b"a=x\ny",
        b"a=%7f",
        b"%00=a",
        b"&".join([b"a=1"] * (forms.MOST_FIELDS + 1)),
    ],
)
def test_broken_forms_are_refused(body):
    with pytest.raises(InvalidRequest):
        forms.parse(body)


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=10))
def test_what_the_standard_library_writes_is_read_back_or_refused(pairs):
    try:
        read = forms.parse(urlencode(pairs).encode())
    except UnicodeEncodeError:  # a lone surrogate: no client can send one
        return
    except InvalidRequest:
        assert any(not c.isprintable() or ord(c) < 32 for pair in pairs for t in pair for c in t)
        return
    assert read == pairs


@given(st.binary(max_size=200))
def test_whatever_comes_only_invalid_request_leaves(body):
    try:
        assert isinstance(forms.parse(body), list)
    except InvalidRequest as exc:
        assert exc.description  # noqa: PT017
