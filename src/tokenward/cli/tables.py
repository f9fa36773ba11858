"""How numbers look in a table for people: short, in columns, and as bars."""

import sys
from typing import TextIO

_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"


def count(number: int) -> str:
    """At most seven characters: ``12,345``, ``123k``, ``1.2M``."""
    if number < 100_000:  # noqa: PLR2004
        return f"{number:,}"
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:.3g}{unit}"
    raise AssertionError("unreachable")  # pragma: no cover


def percent(part: int, whole: int) -> str:
    """A share, of which 100 % is said only if it is all; ``""`` of nothing."""
    if not whole:
        return ""
    share = 100 * part / whole
    return f"{min(share, 99.9) if part < whole else share:.1f}%"


def span(seconds: float | None) -> str:
    """At most six characters: ``<1 ms``, ``120 ms``, ``1.5 s``; ``""`` if there is none."""
    if seconds is None:
        return ""
    if seconds < 0.001:  # noqa: PLR2004
        return "<1 ms"
    return f"{seconds * 1_000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"  # noqa: PLR2004


def short(text: str, width: int) -> str:
    """The text, or its beginning if it is longer."""
    return text if len(text) <= width else text[: width - 1] + "…"


def bar(number: int, most: int, width: int, stream: TextIO | None = None) -> str:
    """How much it is of the most there is, as long as ``width`` at most; nothing is no bar, and
    little is one that can be seen."""
    if not number or not most:
        return " " * width
    eighths = max(1, round(8 * width * number / most))
    if not _can_draw(stream or sys.stdout):
        return ("#" * max(1, round(eighths / 8))).ljust(width)
    full, rest = divmod(eighths, 8)
    return (_FULL * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _can_draw(stream: TextIO) -> bool:
    try:
        (_FULL + _EIGHTHS).encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
