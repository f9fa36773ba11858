"""What all tables with a name and a plug-in have in common."""

from collections.abc import Mapping

from tokenward.server import plugins
from tokenward.server.config import Report
from tokenward.server.values import REPORTED, At, Wrong, refusal

RESERVED = frozenset({"*", "users"})
"""Callers that rules know without a table: all clients, and people who sign in here."""


def check_name(name: str, at: At, report: Report) -> None:
    """Report a name that could be taken for something else where subjects are written."""
    if fault := name_fault(name):
        report.error(at, fault)


def name_fault(name: str) -> str:
    """What is wrong with a name, or ``""``."""
    if not name or name != name.strip():
        return "must have a name without blanks around it"
    if "|" in name:
        return 'must have no "|" in its name: that is what parts a caller from its people'
    if not name.isprintable():
        return "must have no control characters in its name"
    return ""


def read_table(value: object, at: At, report: Report) -> Mapping[str, object] | None:
    """The value if it is a table; what else it is has been reported."""
    if isinstance(value, dict):
        return value
    if value is not REPORTED:
        report.error(at, str(refusal(value, f"a table: [{'.'.join(map(str, at))}]")))
    return None


def plugin(kind: str, table: Mapping[str, object], at: At, report: Report) -> type | None:
    """The class that the table's ``proof``, ``upstream`` or ``profile`` names."""
    name = table.get(kind)
    if name is REPORTED:
        return None
    if name is None:
        known = ", ".join(sorted(plugins.BUILT_IN[kind]))
        report.error((*at, kind), "is missing", f"one of: {known}")
        return None
    try:
        if not isinstance(name, str):
            raise refusal(name, "a name")
        return plugins.find(kind, name)
    except Wrong as exc:
        report.error((*at, kind), str(exc), exc.hint)
        return None
