"""How often may who ask? ``[limits]``, and ``limit`` of one caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from tokenward.server.config import Report, fill, spelled
from tokenward.server.limits import GUESSING, Rate, Rates
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.rates import rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsTable:
    """``[limits]``"""

    address: Annotated[Rate | None, rate] = None
    """How often one address may ask, whatever for: `"100/s burst 200"`. Of IPv6 the network (/64)
    counts. Where proxies are in front, name them in `[proxy]` first. No limit unless said."""

    client: Annotated[Rate | None, rate] = None
    """How often one client may ask that has shown who it is; its own `limit` counts instead. One
    that proves nothing (`none`) has it at each address. No limit unless said."""

    caller: Annotated[Rate | None, rate] = None
    """How often each person or machine may ask that somebody vouches for; the `limit` of who
    does counts instead. No limit unless said."""

    guessing: Annotated[Rate | None, rate] = GUESSING
    """How often one address may be wrong about who it is, for one client; ten times as often for
    all clients together. `"100/m"` unless said; `"off"` for no limit."""


def read_limits(table: Mapping[str, object], callers: Callers, report: Report) -> Rates | None:
    """What the table says, and the limits of single clients and callers."""
    at = ("limits",)
    read = fill(LimitsTable, spelled(table, at, report, LimitsTable), at, report)
    if read is None:
        return None
    clients = callers.clients.values()
    return Rates(
        address=read.address,
        client=read.client,
        caller=read.caller,
        guessing=read.guessing,
        clients={one.registered.client.id: one.limit for one in clients if one.limit},
        callers={name: one.limit for name, one in callers.subjects.items() if one.limit},
    )
