"""On which line of a TOML file does it say so?

The file has been parsed by somebody who knows TOML; this only looks where its headers and keys
are, so that mistakes can be shown with their line.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenward.server.values import At

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_KEY = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|'
    r"'''.*?'''|"
    r'"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|"
    r"#[^\n]*|"
    r"[\[\]{}\n]",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class TomlPlaces:
    """Where things are in one file."""

    name: str
    lines: Mapping[At, int] = field(default_factory=dict)

    def __call__(self, at: At) -> tuple[int, str]:
        """The nearest line known, and ``file:line path``."""
        known = at
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 0)
        place = f"{self.name}:{line}" if line else self.name
        return line, f"{place} {dotted(at)}".strip()


def dotted(at: At) -> str:
    """The way to a value as one would write it; rules and list items count from 1."""
    written = ""
    for part in at:
        if isinstance(part, int):
            written += f"[{part + 1}]"
        else:
            shown = part if _BARE.fullmatch(part) else json.dumps(part)
            written += f".{shown}" if written else shown
    return written


def lines_of(source: str) -> dict[At, int]:
    """The line of every header and key in a file that ``tomllib`` has accepted."""
    found: dict[At, int] = {}
    counts: dict[At, int] = {}
    table: At = ()
    start, line = 0, 1
    while start < len(source):
        if header := _HEADER.match(source, start):
            table = _resolved(_parts(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], line)
        elif key := _KEY.match(source, start):
            at = table
            for part in _parts(key[1]):
                at = (*at, part)
                found.setdefault(at, line)
        end = _end(source, start)
        line += source.count("\n", start, end)
        start = end
    return found


def _parts(written: str) -> list[str]:
    """The parts of a dotted key, without their quotes."""
    return [next(iter(tomllib.loads(f"{part} = 0"))) for part in re.findall(_PART, written)]


def _resolved(parts: list[str], counts: Mapping[At, int]) -> At:
    """A header below a ``[[list]]`` speaks of that list's latest item."""
    at: At = ()
    for position, part in enumerate(parts, 1):
        at = (*at, part)
        if at in counts and position < len(parts):
            at = (*at, counts[at])
    return at


def _end(source: str, start: int) -> int:
    """Where the next statement begins: after a line break that is in no bracket and no string."""
    depth = 0
    for token in _TOKEN.finditer(source, start):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return token.end()
    return len(source)
