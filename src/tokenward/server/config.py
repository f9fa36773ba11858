"""A table of the configuration file becomes a frozen dataclass, and all mistakes are told at once.

Law of this module: it knows types and places, never what a setting means. No value that came from
the environment, and none of a field that is kept out of ``repr``, is ever in a message.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Protocol, TypeVar, get_type_hints

from tokenward.server.values import REPORTED, AlreadyReported, At, Reader, Wrong, reader

T = TypeVar("T")

NO_HINTS: Mapping[str, str] = {}

SLIP = 0.75
"""How like a key another one must be to be taken for it (1 is equal)."""

SHORTEST_SECRET = 4
"""Shorter ones are not worth looking for in messages: they would be found everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake, and where."""

    place: str
    """As in ``tokenward.toml:14 callers.mobile.audience``."""

    message: str
    hint: str = ""
    """What to do about it, if we can tell."""

    def __str__(self) -> str:
        return textwrap.indent(f"{self.place}: {self.message}\n{self.hint}", "    ").strip()


class ConfigError(Exception):
    """The configuration cannot be used; all of its mistakes, and what else is worth knowing."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(map(str, self.problems)))


class Places(Protocol):
    """Where things are written."""

    def __call__(self, at: At) -> tuple[int, str]:
        """The line, for sorting, and the place as people read it."""
        ...


@dataclass(slots=True)
class Report:
    """What has been found so far."""

    places: Places
    hidden: dict[str, str] = field(default_factory=dict, repr=False)
    """Values that must not be shown, and what is shown instead."""

    _errors: list[tuple[int, Problem]] = field(default_factory=list)
    _warnings: list[tuple[int, Problem]] = field(default_factory=list)

    def error(self, at: At, message: str, hint: str = "") -> None:
        """The configuration cannot be used because of this."""
        self._note(self._errors, at, message, hint)

    def warn(self, at: At, message: str, hint: str = "") -> None:
        """The configuration can be used, but it may not be what was meant."""
        self._note(self._warnings, at, message, hint)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """In the order of the lines."""
        return _sorted(self._warnings)

    def settle(self) -> None:
        """Raise ``ConfigError`` if there were mistakes."""
        if self._errors:
            raise ConfigError(_sorted(self._errors), self.warnings)

    def add(self, problem: Problem) -> None:
        """A mistake in something else than the file."""
        self._errors.append((0, problem))

    def _note(self, notes: list[tuple[int, Problem]], at: At, message: str, hint: str) -> None:
        line, place = self.places(at)
        problem = Problem(place=place, message=self._cleaned(message), hint=self._cleaned(hint))
        if (line, problem) not in notes:
            notes.append((line, problem))

    def _cleaned(self, words: str) -> str:
        for value in sorted(self.hidden, key=len, reverse=True):
            for form in (repr(value)[1:-1], value):
                if len(value) >= SHORTEST_SECRET and form in words:
                    words = words.replace(form, self.hidden[value])
        return words


def _sorted(notes: list[tuple[int, Problem]]) -> tuple[Problem, ...]:
    return tuple(problem for _, problem in sorted(notes, key=lambda note: note[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field of a settings class."""

    name: str
    key: str
    """How it is written in the file; ``from_`` is ``from`` there."""

    read: Reader
    required: bool
    secret: bool


def settings_of(cls: type) -> dict[str, Setting]:
    """The settings a class has, by key; a class that is no dataclass has none."""
    return _settings_of(cls) if is_dataclass(cls) else {}


@lru_cache
def _settings_of(cls: type) -> dict[str, Setting]:
    hints = get_type_hints(cls, include_extras=True)
    found = (
        Setting(
            name=one.name,
            key=one.name.removesuffix("_"),
            read=reader(hints[one.name]),
            required=one.default is MISSING and one.default_factory is MISSING,
            secret=not one.repr,
        )
        for one in fields(cls)
        if one.init
    )
    return {setting.key: setting for setting in found}


def documentation(cls: type) -> dict[str, str]:
    """What the source says below each setting, by key; nothing if there is no source."""
    return _documentation(cls)


@lru_cache
def _documentation(cls: type) -> dict[str, str]:
    said = {key: words for base in cls.__bases__ for key, words in documentation(base).items()}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return said
    definition = tree.body[0]
    if isinstance(definition, ast.ClassDef):
        for one, below in zip(definition.body, definition.body[1:], strict=False):
            match one, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    said[name.removesuffix("_")] = re.sub(r"\s+", " ", words).strip()
    return said


def spelled(
    table: Mapping[str, object],
    at: At,
    report: Report,
    *classes: type,
    hints: Mapping[str, str] = NO_HINTS,
) -> dict[str, object]:
    """The table without what none of these classes knows, which is reported.

    What looks like a slip of the pen is then taken as meant, so that it does not lead to more
    messages than one.
    """
    known = {key: one for cls in classes for key, one in settings_of(cls).items()}
    good = {key: value for key, value in table.items() if key in known}
    for key in (key for key in table if key not in known):
        hint = f"its keys are: {', '.join(sorted(known))}"
        if near := get_close_matches(key, sorted(known), n=1):
            hint = f'did you mean "{near[0]}"?'
            if get_close_matches(key, near, cutoff=SLIP):
                good.setdefault(near[0], table[key])
            elif known[near[0]].required:
                good.setdefault(near[0], REPORTED)
        report.error((*at, key), "is not a key of this table", hints.get(key, hint))
    return good


def fill(cls: type[T], table: Mapping[str, object], at: At, report: Report) -> T | None:
    """An instance made of the table's values; ``None`` if that cannot be, for reasons reported.

    Keys that are no setting of this class are somebody else's, and left alone.
    """
    values = {}
    whole = True
    for key, setting in settings_of(cls).items():
        if key not in table:
            if setting.required:
                report.error((*at, key), "is missing", documentation(cls).get(key, ""))
                whole = False
            continue
        if setting.secret:
            _mind_secrets(setting, table[key], (*at, key), report)
        try:
            if setting.required and table[key] == "":
                raise Wrong("is empty", documentation(cls).get(key, ""))  # noqa: TRY301 - told below
            values[setting.name] = setting.read(table[key])
        except AlreadyReported:
            whole = False
        except Wrong as exc:
            report.error((*at, key, *exc.at), str(exc), exc.hint)
            whole = False
    return _made(cls, values, at, report) if whole else None


def _made(cls: type[T], values: Mapping[str, object], at: At, report: Report) -> T | None:
    """The instance, if it accepts these values; an error may begin with the setting it is about."""
    try:
        return cls(**values)
    except ValueError as exc:
        match = re.fullmatch(r"(\w+):? (.+)", str(exc), re.DOTALL)
        if match and match[1] in settings_of(cls):
            report.error((*at, match[1]), match[2])
        else:
            report.error(at, str(exc))
        return None


def _mind_secrets(setting: Setting, value: object, at: At, report: Report) -> None:
    """Warn of a secret that stands in the file itself, and show it nowhere."""
    for one in value if isinstance(value, list) else [value]:
        if type(one) is str and one and not one.startswith("sha256:"):
            report.hidden[one] = "…"
            report.warn(
                at,
                "is a secret, and it is written into the file itself",
                f'write "${{{setting.key.upper()}}}" and put it into .env.local, or mount it',
            )
