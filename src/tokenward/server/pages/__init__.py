"""Pages for people: a template, and the lines that render it.

Law of this package: a page decides nothing and shows only what it was given. Scripts and styles
are files of their own, because the content security policy allows no others. No worker that only
serves tokens imports it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Something to paste."""

    title: str
    why: str
    code: str
    file: bool = False
    """Whether it goes into a file; into a terminal if not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something that runs."""

    name: str
    url: str
    what: str
    page: bool = False
    """Whether a browser finds something there."""
