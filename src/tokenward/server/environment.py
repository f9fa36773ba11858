"""What should not be in a file: variables, ``.env.local``, ``.env``, and mounted secrets.

Law of this module: the process's own environment comes first, and no value is ever in an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tokenward.server.config import ConfigError, Problem
from tokenward.server.values import Wrong, did_you_mean

FILES = (".env.local", ".env")
"""Beside the configuration file, the stronger one first."""

LARGEST = 1_048_576
"""Bytes of a file of variables, or of a mounted secret."""

# A line is a name, "=", a value and perhaps a comment.
# A value may be in double quotes (with escapes, over several lines), in single quotes (taken
# literally), or bare: then it ends at the end of the line, or at a "#" after a blank.
_ASSIGNMENT = re.compile(
    r"""
    [ \t]* (?:export[ \t]+)? (?P<name>[A-Za-z_][A-Za-z0-9_.-]*) [ \t]* = [ \t]*
    (?: "(?P<double>(?:\\.|[^"\\])*)" | '(?P<single>[^']*)' | (?P<bare>(?!["'])[^\r\n]*?) )
    [ \t]* (?:(?<=[ \t=])\#[^\r\n]*)? (?:\r?\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_NOTHING = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_LINE = re.compile(r"[^\n]*(?:\n|\Z)")
_ESCAPE = re.compile(r"\\([nrt\"\\$])")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}

# "${NAME}" is a variable; "$${" stands for "${"; any other "${" is a mistake.
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


def parse(source: str) -> tuple[dict[str, str], list[int]]:
    """Read a ``.env`` file: its variables, and the numbers of the lines that are none.

    The last of several assignments to one name counts; nothing inside a value is replaced.
    """
    found: dict[str, str] = {}
    astray = []
    at, line = 0, 1
    while at < len(source):
        assignment = _ASSIGNMENT.match(source, at)
        match = assignment or _NOTHING.match(source, at)
        if assignment:
            found[assignment["name"]] = _value(assignment)
        elif not match:
            match = _LINE.match(source, at)
            astray.append(line)
        end = match.end() if match else len(source)
        line += source.count("\n", at, end)
        at = end
    return found, astray


def _value(assignment: re.Match[str]) -> str:
    if assignment["double"] is not None:
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), assignment["double"])
    return assignment["single"] if assignment["single"] is not None else assignment["bare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """All variables there are, the process's own first."""

    directory: Path
    """Where the configuration file is; the paths of mounted secrets start here too."""

    layers: tuple[Mapping[str, str], ...] = field(repr=False)
    warnings: tuple[Problem, ...] = ()

    @classmethod
    def open(cls, directory: Path, environ: Mapping[str, str]) -> Self:
        """Read the files of variables in this directory; raises ``ConfigError``."""
        layers: list[Mapping[str, str]] = [environ]
        warnings = []
        for name in FILES:
            path = directory / name
            if not path.exists() or path.is_dir():  # virtual environments are called .env, too
                continue
            try:
                found, astray = parse(_contents(path))
            except OSError as exc:
                raise ConfigError([Problem(place=name, message=_reason(exc))]) from None
            except UnicodeDecodeError:
                raise ConfigError([Problem(place=name, message="is not UTF-8 text")]) from None
            layers.append(found)
            warnings += [
                Problem(
                    place=f"{name}:{line}",
                    message="is no variable, and is ignored",
                    hint='variables look like NAME=value or NAME="a value"',
                )
                for line in astray
            ]
        return cls(directory=directory.resolve(), layers=tuple(layers), warnings=tuple(warnings))

    def find(self, name: str) -> str | None:
        """The variable, or what is in the file that ``<name>_FILE`` names; ``None`` if neither.

        Of a file's content the line break at its end does not count. Raises ``Wrong`` if the file
        cannot be read.
        """
        for layer in self.layers:
            path = layer.get(f"{name}_FILE", "")
            if layer.get(name) or (name in layer and not path):
                return layer[name]
            if path:
                return self._mounted(name, path)
        return None

    def fill(self, written: str, used: dict[str, str]) -> str:
        """Put the variables in; notes in ``used`` which values came from where. Raises ``Wrong``.

        What a variable holds is not looked at again, so ``${`` in a secret is just two characters.
        """

        def replaced(found: re.Match[str]) -> str:
            if found[0] == "$${":
                return "${"
            if found[1] is None:
                raise Wrong(
                    "has a ${ without a variable",
                    "a variable is written ${NAME}; write $${ for the characters themselves",
                )
            value = self._needed(found[1])
            if not value and found[0] == written:
                raise Wrong(f"{found[1]} is set, but empty")
            used[value] = found[0]
            return value

        return _VARIABLE.sub(replaced, written)

    def names(self) -> set[str]:
        """The names of all variables."""
        return {name for layer in self.layers for name in layer}

    def _needed(self, name: str) -> str:
        value = self.find(name)
        if value is None:
            hint = did_you_mean(name, self.names())
            raise Wrong(
                f"{name} is not set: not in the environment, nor in {' or '.join(FILES)} in "
                f"{self.directory}; nor is {name}_FILE",
                hint if hint.startswith("did you") else "",
            )
        return value

    def _mounted(self, name: str, path: str) -> str:
        try:
            return re.sub(r"\r?\n\Z", "", _contents(self.directory / path))
        except (OSError, ValueError) as exc:
            reason = _reason(exc) if isinstance(exc, OSError) else "is not a file of UTF-8 text"
            raise Wrong(f"{name}_FILE names a file that {reason}") from None


def _contents(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(0, f"is larger than {LARGEST} bytes")
    return data.decode("utf-8-sig")


def _reason(exc: OSError) -> str:
    return f"cannot be read: {exc.strerror}" if exc.errno else str(exc.strerror)
