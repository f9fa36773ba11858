"""What several commands have in common: options, and how their help looks."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tokenward.cli.saying import BOLD, painted

_HEADING = re.compile(r"^(?:Usage|\S[^:\n]*)(?=:)", re.MULTILINE)


class Command(TyperCommand):
    """A command whose help ends with examples."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The examples as they stand: a line that is wrapped cannot be pasted."""
        _examples(self.epilog, formatter)

    def get_help(self, ctx: Any) -> str:
        """The help, its headings bold where that is wanted."""
        return _bold(super().get_help(ctx))


class Commands(TyperGroup):
    """All commands; the same for them together."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The examples as they stand."""
        _examples(self.epilog, formatter)

    def get_help(self, ctx: Any) -> str:
        """The help, its headings bold where that is wanted."""
        return _bold(super().get_help(ctx))


def _examples(text: str | None, formatter: Any) -> None:
    with formatter.section("Examples"):
        for line in (text or "").strip("\n").splitlines():
            formatter.write(f"  {line}".rstrip() + "\n")


def _bold(text: str) -> str:
    return _HEADING.sub(lambda heading: painted(heading[0], BOLD), text)


def names_in(section: str) -> list[str]:
    """The names in a section of the tokenward.toml of this folder, for shells to complete."""
    try:
        tables = tomllib.loads(Path("tokenward.toml").read_text(encoding="utf-8")).get(section, {})
    except (OSError, ValueError):
        return []
    return list(tables) if isinstance(tables, dict) else []


def callers() -> list[str]:
    """Who may ask, as far as this folder's file says."""
    return names_in("callers")


def tokens() -> list[str]:
    """What there is to ask for, as far as this folder's file says."""
    return names_in("tokens")


Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration; tokenward.toml in this folder if not said.",
    ),
]

Audience = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Which token, or whom it is for. May be said more than once."
    ),
]
GoodFor = Annotated[
    str, typer.Option("--scope", "-s", metavar="SCOPE", help="What it should be good for.")
]
Header = Annotated[bool, typer.Option("--header", help="Print a whole Authorization header.")]
