"""A table becomes a dataclass; whatever is wrong with it is told at once, and no secret is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tokenward.jose.keys import KeySet, SigningKey
from tokenward.oauth.scope import Scope
from tokenward.server.config import (
    ConfigError,
    Problem,
    Report,
    documentation,
    fill,
    settings_of,
    spelled,
)
from tokenward.server.settings.lines import TomlPlaces, dotted, lines_of
from tokenward.server.values import REPORTED, Filled, Within, Wrong, key_set, reader

AT = ("things", "one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    color: str = "red"
    """Said by the class before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing(Older):
    name: str
    """What it is
    called."""

    from_: str = ""
    count: int = 1
    on: bool = False
    wait: float = 5.0
    short: Annotated[float, Within("1s", "1m")] = 5.0
    kind: Literal["big", "small"] = "big"
    many: tuple[str, ...] = ()
    some: frozenset[str] = frozenset()
    scope: Scope | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    keys: KeySet | None = None
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.count > 100:
            raise ValueError("count: must be at most 100")
        if self.color == self.name:
            raise ValueError("the color must not be the name")


def report() -> Report:
    return Report(places=TomlPlaces("x.toml"))


def problems_of(table: dict[str, object]) -> list[str]:
    found = report()
    fill(Thing, spelled(table, AT, found, Thing), AT, found)
    with pytest.raises(ConfigError) as caught:
        found.settle()
    return [str(problem) for problem in caught.value.problems]


def filled(**table: object) -> Thing:
    found = report()
    thing = fill(Thing, spelled({"name": "n", **table}, AT, found, Thing), AT, found)
    found.settle()
    assert thing is not None
    return thing


@pytest.mark.parametrize(
    ("key", "value", "name", "result"),
    [
        ("name", "it", "name", "it"),
        ("from", "here", "from_", "here"),
        ("count", 7, "count", 7),
        ("on", True, "on", True),
        ("wait", "90s", "wait", 90.0),
        ("wait", "15m", "wait", 900.0),
        ("wait", "2h", "wait", 7_200.0),
        ("wait", "1d", "wait", 86_400.0),
        ("short", "1m", "short", 60.0),
        ("kind", "small", "kind", "small"),
        ("many", ["a", "b"], "many", ("a", "b")),
        ("many", "a b", "many", ("a b",)),
        ("some", ["a", "a"], "some", frozenset("a")),
        ("scope", "a b", "scope", Scope(frozenset("ab"))),
        ("scope", ["b", "a"], "scope", Scope(frozenset("ab"))),
        ("notes", {"a": "b"}, "notes", {"a": "b"}),
    ],
)
def test_a_value_becomes_what_the_field_is_for(key, value, name, result):
    assert getattr(filled(**{key: value}), name) == result


def test_a_string_from_the_environment_is_an_ordinary_one_afterwards():
    thing = filled(name=Filled("n"), many=[Filled("m")], secret=Filled("s3cret"))
    assert type(thing.name) is type(thing.many[0]) is type(thing.secret) is str


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 3, 'must be a string such as "one", not a number'),
        ("name", True, "not a boolean"),
        ("name", ["n"], "not a list"),
        ("name", {"n": 1}, "not a table"),
        ("name", 1.5, "not a number"),
        ("name", "", "is empty"),
        ("count", "7", "must be a whole number such as 3, not a string"),
        ("count", True, "not a boolean"),
        ("count", 1.0, "must be a whole number"),
        ("count", 101, "must be at most 100"),
        ("on", "yes", "must be true or false, not a string"),
        ("wait", 15, "must be a period such as"),
        ("wait", "15", "one whole number and one unit"),
        ("wait", "15 m", "one whole number and one unit"),
        ("wait", "1h30m", "one whole number and one unit"),
        ("wait", "-5s", "one whole number and one unit"),
        ("wait", "٣s", "one whole number and one unit"),
        ("short", "0s", 'must be between "1s" and "1m"'),
        ("short", "61s", 'must be between "1s" and "1m"'),
        ("kind", "smal", 'must be one of "big", "small"'),
        ("kind", 3, 'must be one of "big", "small", not a number'),
        ("many", 3, 'must be a list of strings such as ["one", "another"], not a number'),
        ("many", ["a", 3], "[2]: must be a string"),
        ("scope", 3, 'must be scopes such as "read write"'),
        ("scope", 'a"b', "characters that RFC 6749 does not allow"),
        ("scope", ["a b"], "must have one scope per string"),
        ("scope", [""], "must have one scope per string"),
        ("notes", ["a"], "must be a table"),
        ("notes", {"a": 3}, "notes.a: must be a string"),
        ("keys", "hello", "is neither a PEM text nor a JWKS"),
        ("keys", "[" * 100_000, "is neither a PEM text nor a JWKS"),
        ("keys", [], "holds no key"),
        ("keys", [3], "must be a public key"),
        ("keys", {"kty": "oct", "k": "AAAA"}, "holds a key that cannot be used"),
        ("keys", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "cannot be used"),
    ],
)
def test_another_kind_of_value_is_refused_with_an_example(key, value, message):
    (problem,) = problems_of({"name": "n", key: value})
    assert problem.startswith(f"x.toml things.one.{key}")
    assert message in problem


def test_what_the_class_itself_refuses_is_told_at_its_table():
    (problem,) = problems_of({"name": "red"})
    assert problem == "x.toml things.one: the color must not be the name"


def test_all_mistakes_come_at_once():
    told = problems_of({"count": "x", "on": 3, "colour": "red", "wait": 3, "zzz": 1})
    assert [one.split(":")[0] for one in told] == [
        "x.toml things.one.colour",
        "x.toml things.one.zzz",
        "x.toml things.one.name",
        "x.toml things.one.count",
        "x.toml things.one.on",
        "x.toml things.one.wait",
    ]


def test_a_missing_key_is_explained_by_its_documentation():
    assert problems_of({}) == ["x.toml things.one.name: is missing\n    What it is called."]


def test_a_slip_of_the_pen_is_told_once_and_taken_as_meant():
    assert problems_of({"nmae": "it"}) == [
        'x.toml things.one.nmae: is not a key of this table\n    did you mean "name"?'
    ]


def test_a_key_far_from_all_others_hears_which_there_are():
    (problem,) = problems_of({"name": "n", "wholly-different": 1})
    assert "its keys are: color, count, from, keys, kind" in problem


def test_what_was_reported_before_is_not_reported_again():
    found = report()
    table = {"name": REPORTED, "many": REPORTED, "notes": {"a": REPORTED}, "count": "x"}
    assert fill(Thing, table, AT, found) is None
    with pytest.raises(ConfigError) as caught:
        found.settle()
    assert [problem.place for problem in caught.value.problems] == ["x.toml things.one.count"]


def test_a_secret_in_the_file_is_warned_of_and_shown_nowhere():
    found = report()
    fill(Thing, {"name": "n", "secret": "hunter2!"}, AT, found)
    found.settle()
    (warning,) = found.warnings
    assert "is a secret, and it is written into the file itself" in str(warning)
    assert "${SECRET}" in warning.hint
    assert "hunter2!" not in str(warning)


@pytest.mark.parametrize("value", [Filled("hunter2!"), "sha256:" + "0" * 64, ""])
def test_a_secret_from_the_environment_or_its_hash_is_not_warned_of(value):
    found = report()
    assert fill(Thing, {"name": "n", "secret": value}, AT, found) is not None
    assert found.warnings == ()


@pytest.mark.parametrize("secret", ["hunter2!", "two\nlines", 'qu"ote\\', "it's"])
def test_no_message_repeats_what_came_from_the_environment(secret):
    found = report()
    found.hidden[secret] = "${PASSWORD}"
    found.error(("a",), f"{secret} is wrong", f"try {secret!r} again")
    with pytest.raises(ConfigError) as caught:
        found.settle()
    assert str(caught.value) == (
        f"x.toml a: ${{PASSWORD}} is wrong\n    try {secret!r} again".replace(
            repr(secret)[1:-1], "${PASSWORD}"
        )
    )
    assert secret not in str(caught.value)
    assert secret not in repr(found)


def test_problems_come_in_the_order_of_their_lines_and_each_once():
    found = Report(places=TomlPlaces("x.toml", {("a",): 9, ("b",): 3}))
    for name in "a", "b", "a":
        found.error((name,), "is wrong")
    found.add(Problem(place="PORT", message="is wrong too"))
    with pytest.raises(ConfigError) as caught:
        found.settle()
    assert [problem.place for problem in caught.value.problems] == [
        "PORT",
        "x.toml:3 b",
        "x.toml:9 a",
    ]


def test_documentation_is_what_stands_below_the_field():
    assert documentation(Thing) == {
        "color": "Said by the class before.",
        "name": "What it is called.",
    }
    assert documentation(int) == {}


def test_a_class_without_fields_has_no_settings():
    assert settings_of(int) == {}
    assert settings_of(Thing)["from"].name == "from_"


@pytest.mark.parametrize("annotation", [bytes, dict[str, int], list[int], Annotated[str, "x"]])
def test_a_type_that_no_file_can_say_is_a_mistake_of_the_plug_in(annotation):
    with pytest.raises(TypeError):
        reader(annotation)


def pem() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_keys_are_pem_texts_or_a_jwks():
    jwk = SigningKey.generate("ES256").public_jwk()
    assert len(key_set(pem()).keys) == 1
    assert len(key_set(pem() + pem()).keys) == 2
    assert len(key_set([pem(), jwk]).keys) == 2
    assert key_set({"keys": [jwk]}) == key_set([jwk]) == key_set(jwk)
    assert key_set('{"keys": []}'.replace("[]", f"[{jwk}]".replace("'", '"'))) == key_set([jwk])


def test_a_private_key_is_refused_and_not_shown():
    with pytest.raises(Wrong) as caught:
        key_set([{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "c2VjcmV0"}])
    assert "c2VjcmV0" not in str(caught.value)


TOML = '''\
# a comment = with "[header]"
title = """
[not.a.header]
key = "not a key"
"""
[a . "b.c"]
x = 1
'y z' = [
  "[no]",   # ] comment
  { k = "}" },
]
d.e = 2
inline = { in = 1 }

[[list]]
name = 'it''s'
[list.sub]
n = 1
[[list]]
name = "two"
[list.sub]
n = 2
'''.replace("'it''s'", "'its'")


@pytest.mark.parametrize(
    ("at", "place"),
    [
        (("title",), "f:2 title"),
        (("a",), "f:6 a"),
        (("a", "b.c"), 'f:6 a."b.c"'),
        (("a", "b.c", "x"), 'f:7 a."b.c".x'),
        (("a", "b.c", "y z", 1), 'f:8 a."b.c"."y z"[2]'),
        (("a", "b.c", "d", "e"), 'f:12 a."b.c".d.e'),
        (("a", "b.c", "inline", "in"), 'f:13 a."b.c".inline.in'),
        (("list", 0), "f:15 list[1]"),
        (("list", 0, "sub", "n"), "f:18 list[1].sub.n"),
        (("list", 1, "name"), "f:20 list[2].name"),
        (("list", 1, "sub", "n"), "f:22 list[2].sub.n"),
        (("list", 1, "missing"), "f:19 list[2].missing"),
        (("nowhere",), "f nowhere"),
        ((), "f"),
    ],
)
def test_places_have_the_line_of_the_key_or_of_what_it_is_in(at, place):
    assert TomlPlaces("f", lines_of(TOML))(at)[1] == place


def test_a_place_is_printable_whatever_the_key_is():
    assert dotted(("a", "\x1b[31m", "é")) == 'a."\\u001b[31m"."\\u00e9"'


@given(st.text(alphabet="ab=.[]{}\"'#\n ", max_size=60))
def test_looking_for_lines_ends_whatever_the_text_is(source):
    try:
        lines = lines_of(source)
    except ValueError:  # not TOML: nobody asks for its lines
        return
    assert all(1 <= line <= source.count("\n") + 1 for line in lines.values())


def test_periods_are_never_infinite_or_negative():
    with pytest.raises(Wrong):
        Within("0s", "1d")(math.inf)
