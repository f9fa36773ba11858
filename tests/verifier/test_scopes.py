"""Scope tokens are compared whole, claims exactly: what is malformed allows nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenward.oauth.errors import InvalidScope
from tokenward.verifier import InsufficientScope, require, scope_of


@pytest.mark.parametrize(
    ("claims", "tokens"),
    [
        ({"scope": "read write"}, ["read", "write"]),
        ({"scope": ["read", "write"]}, ["read", "write"]),
        ({"scp": ["read", "write"]}, ["read", "write"]),
        ({"scp": "read write"}, ["read", "write"]),
        ({"scope": "read", "scp": ["write"]}, ["read"]),
        ({"scope": ""}, []),
        ({"scope": []}, []),
        ({}, []),
        ({"scope": None, "scp": ["write"]}, []),
        ({"scope": ["read", 7]}, []),
        ({"scope": ["read write"]}, []),
        ({"scope": [["read"]]}, []),
        ({"scope": {"read": True}}, []),
        ({"scope": 'read "quoted"'}, []),
        ({"scope": "read\twrite"}, []),
        ({"scope": True}, []),
        ({"scopes": "read"}, []),
    ],
)
def test_what_a_token_allows(claims, tokens):
    assert list(scope_of(claims)) == tokens


@pytest.mark.parametrize("needed", ["", "read", "write", "read write", "write  read"])
def test_enough_scope_is_enough(needed):
    assert require({"scope": "read write"}, needed) is None


@pytest.mark.parametrize(
    ("held", "needed"),
    [
        ("read", "write"),
        ("read", "read write"),
        ("reader", "read"),
        ("read", "reader"),
        ("read-all", "read"),
        ("Read", "read"),
        ("read,write", "read"),
        ("", "read"),
        (["read write"], "read"),
        ("*", "read"),
        (None, "read"),
    ],
)
def test_less_scope_is_not_enough(held, needed):
    with pytest.raises(InsufficientScope) as caught:
        require({"scope": held}, needed)
    assert caught.value.scope == needed


@pytest.mark.parametrize(
    "value", ["acme", 1, True, None, 1.5, ["a", "b"], {"a": [1, {"b": None}]}, "", [], {}]
)
def test_a_claim_that_is_as_required_is_enough(value):
    assert require({"it": value}, claims={"it": value}) is None


@pytest.mark.parametrize(
    ("said", "needed"),
    [
        ("acme-evil", "acme"),
        ("acm", "acme"),
        ("ACME", "acme"),
        (["acme"], "acme"),
        ("acme", ["acme"]),
        (1, True),
        (True, 1),
        (1, 1.0),
        ("1", 1),
        (0, False),
        (None, False),
        ("", None),
        ([1], [True]),
        (["a", "b"], ["b", "a"]),
        (["a"], ["a", "a"]),
        ({"a": 1}, {"a": True}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": 1}, [["a", 1]]),
    ],
)
def test_a_claim_that_is_nearly_as_required_is_not_enough(said, needed):
    with pytest.raises(InsufficientScope, match="it: not as required") as caught:
        require({"it": said}, claims={"it": needed})
    assert caught.value.scope == ""


def test_a_missing_claim_is_not_enough_whatever_is_required():
    for needed in (None, "", False, []):
        with pytest.raises(InsufficientScope):
            require({}, claims={"it": needed})


def test_claim_names_are_names_and_not_paths():
    require({"https://acme.example/role": "admin"}, claims={"https://acme.example/role": "admin"})
    with pytest.raises(InsufficientScope):
        require({"a": {"b": 1}}, claims={"a.b": 1})


def test_a_requirement_that_is_no_scope_is_a_mistake_of_ours():
    with pytest.raises(InvalidScope):
        require({"scope": "read"}, 'read "')


@given(
    said=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(max_size=3), it, max_size=3),
    )
)
def test_any_claim_is_a_scope_or_none(said):
    tokens = set(scope_of({"scope": said}))
    if isinstance(said, str):
        assert tokens <= set(said.split(" "))
    elif isinstance(said, list):
        assert tokens <= {it for it in said if isinstance(it, str)}
    else:
        assert not tokens
