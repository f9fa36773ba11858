"""How commands speak: text for people, JSON for programs, and one way to fail."""

import getpass
import json
import os
import sys
from typing import NoReturn, TextIO

FAILED, USAGE, CONFIGURATION = 1, 2, 78

LARGEST_INPUT = 1_048_576
"""Bytes of standard input that are read."""

BOLD, RED, GREEN, YELLOW, FAINT = "1", "31", "32", "33", "2"


def painted(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in colour, if it is for a person at a terminal who wants that (no-color.org)."""
    stream = sys.stdout if stream is None else stream
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{colour}m{text}\x1b[0m"


def say(text: str = "", colour: str = "") -> None:
    """A line on standard output, at once: whoever reads it may be waiting for it."""
    print(painted(text, colour) if colour else text, flush=True)


def note(text: str = "", colour: str = "") -> None:
    """A line on standard error: for whoever watches, and not part of the answer."""
    print(painted(text, colour, sys.stderr) if colour else text, file=sys.stderr)


def say_json(said: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(said, indent=2))


def fail(message: str, hint: str = "", *, code: int = FAILED, in_json: bool = False) -> NoReturn:
    """Say what is wrong and what to do next, and end.

    For people on standard error; for programs as a JSON document on standard output.
    """
    if in_json:
        say_json({"ok": False, "error": message} | ({"hint": hint} if hint else {}))
    else:
        note(f"tokenward: {message}", RED)
        if hint:
            note(f"  {hint}")
    raise SystemExit(code)


def from_stdin(what: str) -> str:
    """All of standard input, or what is typed there without being shown; ``""`` if nothing is.

    This is how secrets and tokens come in: arguments can be read by everybody on the machine.
    """
    if sys.stdin is None or sys.stdin.closed:
        return ""
    if sys.stdin.isatty():
        try:
            return getpass.getpass(f"{what} (not shown): ")
        except EOFError:
            return ""
    return sys.stdin.buffer.read(LARGEST_INPUT).decode(errors="replace").strip("\r\n")
