"""Is every request logged? ``[log]``"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tokenward.server.config import Report, fill, spelled


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``[log]``"""

    requests: bool = False
    """Whether each answer is a line on standard error: route, method, status, time, who asked and
    how it ended. The trail (`[audit]`) is kept in any case."""

    format: Literal["json", "text"] = "json"
    """How these lines are written; what goes wrong is always JSON."""


def read_log(table: Mapping[str, object], report: Report) -> LogSettings:
    """What the table says; the usual if there is none."""
    at = ("log",)
    return fill(LogSettings, spelled(table, at, report, LogSettings), at, report) or LogSettings()
