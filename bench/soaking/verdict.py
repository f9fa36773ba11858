"""What a soak has shown: did memory and descriptors stay, was everything answered well?

The beginning does not count: caches fill, and what is remembered reaches its first expiry. After
that, memory is judged by the line that fits it best, so that neither a peak nor a dip decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression, median

from bench.soaking.watching import Sample, Watch

WARM_UP = 600.0
"""Seconds; a sixth of a shorter run, but not less than it takes caches to fill."""

MEMORY, DESCRIPTORS, RATE = 0.05, 20, 0.95
"""Shares of what there was, pieces, share of what was wanted."""

FEWEST = 6
"""Samples after the warm-up from which something can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    held: bool
    words: str
    figures: Mapping[str, float]


def warm_up(lasted: float) -> float:
    """How much of a run does not count, in seconds."""
    return min(WARM_UP, max(60.0, lasted / 6))


def judge(samples: Sequence[Sample], *, rate: float) -> list[Finding]:
    """What the samples say, for a load that should have been ``rate`` questions a second."""
    lasted = samples[-1].at if samples else 0.0
    counted = [it for it in samples if it.at > warm_up(lasted)]
    if len(counted) < FEWEST:
        words = f"too short to say: {len(counted)} samples after {warm_up(lasted):.0f} s"
        unknown = [Finding(name=it, held=False, words=words, figures={}) for it in _GROWING]
        return [*unknown, _load(counted or samples, rate)]
    return [_memory(counted), _descriptors(counted), _load(counted, rate)]


def all_answered(watch: Watch) -> Finding:
    """Whether everything was answered as it should be, the warm-up included."""
    words = f"{watch.errors} of {watch.asked} questions"
    figures = {"errors": watch.errors, "asked": watch.asked}
    held = not watch.errors and watch.asked > 0
    return Finding(name="errors", held=held, words=words, figures=figures)


def ended_well(complaints: Sequence[str], exit_code: int) -> Finding:
    """Whether the server had nothing to complain of, and stopped when it was told to."""
    return Finding(
        name="said nothing, ended well",
        held=not complaints and exit_code == 0,
        words=complaints[0][:300] if complaints else f"exit code {exit_code}",
        figures={"lines": len(complaints), "exit_code": exit_code},
    )


_GROWING = ("memory", "descriptors")


def _memory(counted: Sequence[Sample]) -> Finding:
    slope, start = linear_regression([it.at for it in counted], [it.pss for it in counted])
    first, last = (start + slope * counted[at].at for at in (0, -1))
    grown = (last - first) / first
    figures = {
        "grown": grown,
        "per_hour_bytes": slope * 3_600,
        "least_bytes": min(it.pss for it in counted),
        "most_bytes": max(it.pss for it in counted),
    }
    words = (
        f"{first / 2**20:.1f} MiB → {last / 2**20:.1f} MiB, {grown:+.1%} "
        f"({slope * 3_600 / 2**20:+.2f} MiB an hour, limit ±{MEMORY:.0%})"
    )
    return Finding(name="memory", held=abs(grown) <= MEMORY, words=words, figures=figures)


def _descriptors(counted: Sequence[Sample]) -> Finding:
    held = [it.descriptors for it in counted]
    usual = median(held)
    away = max(abs(it - usual) for it in held)
    words = f"{min(held)} to {max(held)}, usually {usual:g} (limit ±{DESCRIPTORS})"
    return Finding(
        name="descriptors",
        held=away <= DESCRIPTORS,
        words=words,
        figures={"usual": usual, "farthest": away},
    )


def _load(counted: Sequence[Sample], rate: float) -> Finding:
    """A server that was never under the load has shown nothing."""
    asked = fmean(it.rate for it in counted) if counted else 0.0
    behind = counted[-1].under_way if counted else 0
    p99 = median(it.p99_ms for it in counted) if counted else 0.0
    busy = fmean(it.busy for it in counted) if counted else 0.0
    words = (
        f"{asked:.0f} a second of the {rate:.0f} wanted; {busy:.0%} of a core; "
        f"p99 {p99:.1f} ms (median of all looks); {behind} under way at the end"
    )
    held = asked >= RATE * rate and behind <= max(100, rate)
    figures = {"rate": asked, "wanted": rate, "busy": busy, "p99_ms": p99}
    return Finding(name="load", held=held, words=words, figures=figures)
