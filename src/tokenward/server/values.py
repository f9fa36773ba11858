"""What one value in the configuration file may look like.

Law of this module: a reader takes what TOML gives and returns what a setting's type asks for, or
raises ``Wrong`` with a sentence that says what is wanted. Numbers with a fraction are periods.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin

from tokenward.jose.keys import KeySet, VerifyingKey
from tokenward.oauth.errors import InvalidScope
from tokenward.oauth.scope import Scope

At: TypeAlias = tuple[str | int, ...]
"""The way to a value: names of tables and keys, and positions in lists."""

Reader: TypeAlias = Callable[[object], Any]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}


class Wrong(ValueError):
    """This value will not do. ``at`` says where inside the value, ``hint`` what would do."""

    def __init__(self, message: str, hint: str = "", *, at: At = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.at = at


class AlreadyReported(Wrong):
    """The value is missing for a reason that has been told."""


class Filled(str):
    """A string of which at least a part came from the environment: it may be a secret."""

    __slots__ = ()


class _Reported:
    def __repr__(self) -> str:
        return "REPORTED"


REPORTED: Final = _Reported()
"""Stands where a value would be, had it not been wrong in a way that has been told."""


def did_you_mean(name: str, known: AbstractSet[str] | Mapping[str, object]) -> str:
    """The hint for a name that nobody has: the nearest one, or all of them if they are few."""
    if near := get_close_matches(name, sorted(known), n=1):
        return f'did you mean "{near[0]}"?'
    few = 12
    return f"there is: {', '.join(sorted(known))}" if 0 < len(known) <= few else ""


def refusal(value: object, wanted: str) -> Wrong:
    """The error for a value of another kind than is wanted."""
    if value is REPORTED:
        return AlreadyReported("")
    kind = next((name for type_, name in _KINDS.items() if isinstance(value, type_)), "")
    if not kind:
        composed: dict[type, str] = {list: "a list", dict: "a table"}
        kind = composed.get(type(value), "a date or time")
    return Wrong(f"must be {wanted}, not {kind}")


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise refusal(value, 'a string such as "one"')
    return str(value)


def number(value: object) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise refusal(value, "a whole number such as 3")
    return value


def switch(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise refusal(value, "true or false")
    return value


def duration(value: object) -> float:
    """A period such as ``"15m"``, in seconds."""
    wanted = 'a period such as "30s", "15m", "8h" or "1d"'
    if not isinstance(value, str):
        raise refusal(value, wanted)
    if match := _DURATION.fullmatch(value):
        return float(int(match[1]) * _UNITS[match[2]])
    raise Wrong(f"must be {wanted}: one whole number and one unit")


@dataclass(frozen=True, slots=True)
class Within:
    """A period that is neither too short nor too long; both ends as one writes them."""

    least: str
    most: str

    def __call__(self, value: object) -> float:
        seconds = duration(value)
        if not duration(self.least) <= seconds <= duration(self.most):
            raise Wrong(f'must be between "{self.least}" and "{self.most}"')
        return seconds


def texts(value: object) -> tuple[str, ...]:
    """A list of strings; one string is a list of one."""
    if isinstance(value, str):
        return (str(value),)
    if not isinstance(value, list):
        raise refusal(value, 'a list of strings such as ["one", "another"]')
    return tuple(_each(enumerate(value), text).values())


def texts_by_name(value: object) -> dict[str, str]:
    """A table of strings."""
    return _each(table(value, '{ "name" = "what it is" }').items(), text)


def table(value: object, example: str = "[name]") -> dict[str, object]:
    """A table, whatever is in it."""
    if not isinstance(value, dict):
        raise refusal(value, f"a table such as {example}")
    return value


def tables(value: object) -> dict[str, object]:
    """Tables by name; what is in them is read later."""
    return table(value)


def scope(value: object) -> Scope:
    """Scopes: a list of strings, or one string with spaces (RFC 6749 §3.3)."""
    if not isinstance(value, str | list):
        raise refusal(value, 'scopes such as "read write" or ["read", "write"]')
    try:
        if isinstance(value, str):
            return Scope.parse(value)
        for one in texts(value):
            if " " in one or not one:
                raise Wrong("must have one scope per string in a list")
        return Scope.of(texts(value))
    except InvalidScope as exc:
        raise Wrong(exc.description) from None


def key_set(value: object) -> KeySet:
    """Public keys: a JWKS as a table or as JSON, or PEM texts, one or several."""
    if isinstance(value, str) and "-----BEGIN" not in value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Wrong("is neither a PEM text nor a JWKS (RFC 7517 §5)") from None
    entries: object = value
    if isinstance(value, dict) and "keys" in value:
        entries = value["keys"]
    found = [
        key
        for entry in (entries if isinstance(entries, list) else [entries])
        for key in _keys(entry)
    ]
    if not found:
        raise Wrong("holds no key")
    return KeySet(tuple(found))


def _keys(entry: object) -> list[VerifyingKey]:
    if not isinstance(entry, str | dict):
        raise refusal(entry, "a public key: a PEM text, or a JWK as a table")
    try:
        if isinstance(entry, dict):
            return [VerifyingKey.from_jwk(entry)]
        pems = _PEM.findall(entry) or [entry]
        return [VerifyingKey.from_pem(pem) for pem in pems]
    except ValueError as exc:
        raise Wrong(f"holds a key that cannot be used: {exc}") from None


def _each(items: Iterable[tuple[Any, object]], reader: Reader) -> dict[Any, Any]:
    """Read every one of them; an error says which it was."""
    read: dict[Any, Any] = {}
    for key, value in items:
        try:
            read[key] = reader(value)
        except Wrong as exc:
            exc.at = (key, *exc.at)
            raise
    return read


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        quoted = ", ".join(f'"{word}"' for word in self.words)
        if not isinstance(value, str):
            raise refusal(value, f"one of {quoted}")
        if value not in self.words:
            raise Wrong(f"must be one of {quoted}", did_you_mean(value, frozenset(self.words)))
        return value


_READERS: dict[Any, Reader] = {
    str: text,
    int: number,
    bool: switch,
    float: duration,
    Scope: scope,
    KeySet: key_set,
}


def reader(annotation: Any) -> Reader:
    """How a setting of this type is read; ``Annotated`` brings a reader of its own.

    Raises ``TypeError`` for a type that no value in a file can have: a mistake of a plug-in.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _READERS:
        return _READERS[annotation]
    if origin is Annotated and (own := next(filter(callable, arguments[1:]), None)):
        return cast("Reader", own)
    if origin in (Union, UnionType):
        (inner,) = (one for one in arguments if one is not NoneType)
        return reader(inner)
    if origin is Literal:
        return Choice(arguments)
    if origin in (tuple, frozenset, list) and arguments[0] is str:
        return lambda value: origin(texts(value))
    if origin in (dict, Mapping) and arguments == (str, str):
        return texts_by_name
    raise TypeError(f"a setting of type {annotation} cannot be read from a file")
