"""What was handed out, to whom, and what it took to get it: the figures of a day.

Law of this module: a name in a figure is a word of the configuration or a registered client's id.
Whoever asks for odd things makes no new ones, and of those there are only so many are kept apart.
"""

import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tokenward.server.asking import End
from tokenward.server.audit import Event
from tokenward.server.latency import Latency

MOST = 1_000
"""So many are kept apart on one day by one process; the rest are ``OTHERS``."""

OTHERS = "(others)"

_VERSION = 1

Whom: TypeAlias = tuple[str, str, str]
"""Which token was asked for, which ``[callers.<name>]`` vouched for whom it was to be, and which
client asked; what was never known is ``""``."""


@dataclass(slots=True)
class Handed:
    """How often somebody got what they asked for, and how often not."""

    served: int = 0
    refused: int = 0

    def add(self, other: "Handed") -> None:
        """Those of somebody else, too."""
        self.served += other.served
        self.refused += other.refused


@dataclass(slots=True)
class Fetched:
    """What came of asking an upstream."""

    fetched: int = 0
    """Tokens it gave."""

    errors: int = 0
    """Questions that brought none."""

    refused: int = 0
    """Questions that were not asked, because it is left alone for a while."""

    latency: Latency = field(default_factory=Latency)

    def ended(self, end: End, seconds: float | None) -> None:
        """A question ended so, after so many seconds if anybody was asked."""
        if end == "fetched":
            self.fetched += 1
        elif end == "errors":
            self.errors += 1
        else:
            self.refused += 1
        if seconds is not None:
            self.latency.took(seconds)

    def add(self, other: "Fetched") -> None:
        """Those of somebody else, too."""
        self.fetched += other.fetched
        self.errors += other.errors
        self.refused += other.refused
        self.latency.add(other.latency)


@dataclass(slots=True)
class Figures:
    """Those of one process or of several together."""

    handed: dict[Whom, Handed] = field(default_factory=dict)
    fetched: dict[str, Fetched] = field(default_factory=dict)
    """By the name of the token."""

    of: frozenset[str] = frozenset()
    """Whose rows are in it, if it was put together from those of others."""

    def event(self, event: Event) -> None:
        """Somebody asked for a token, and got it or did not."""
        client, grant, authorization = event.client, event.grant, event.authorization
        whom = (
            "" if authorization is None else authorization.token,
            "" if grant is None else grant.caller.name,
            "" if client is None else client.id,
        )
        handed = self.handed.get(whom) or self._handed(whom)
        if event.failure is None:
            handed.served += 1
        else:
            handed.refused += 1

    def _handed(self, whom: Whom) -> Handed:
        if len(self.handed) >= MOST:
            whom = (whom[0], OTHERS, OTHERS)
        return self.handed.setdefault(whom, Handed())

    def upstream(self, token: str) -> Fetched:
        """What came of asking the upstream of this token, from now on."""
        return self.fetched.setdefault(token, Fetched())

    def add(self, other: "Figures") -> None:
        """Those of somebody else, too."""
        for whom, handed in other.handed.items():
            self.handed.setdefault(whom, Handed()).add(handed)
        for token, fetched in other.fetched.items():
            self.upstream(token).add(fetched)

    def to_json(self) -> dict[str, object]:
        """All of them, as JSON can hold them; no secret is among them."""
        return {
            "handed": [[*whom, [it.served, it.refused]] for whom, it in self.handed.items()],
            "fetched": {
                token: {
                    "counts": [it.fetched, it.errors, it.refused],
                    "latency": it.latency.to_json(),
                }
                for token, it in self.fetched.items()
            },
        }


def to_bytes(figures: Figures) -> bytes:
    """All of them, for a store."""
    of = {"of": sorted(figures.of)} if figures.of else {}
    said = {"version": _VERSION, **of, **figures.to_json()}
    return json.dumps(said, separators=(",", ":")).encode()


def from_bytes(kept: bytes) -> Figures | None:
    """What ``to_bytes`` made; ``None`` if it is of another version, or nothing of ours."""
    try:
        said = json.loads(kept)
        if said["version"] != _VERSION:
            return None
        handed = {
            (token, caller, client): Handed(*counts)
            for token, caller, client, counts in said["handed"]
        }
        fetched = {
            token: _fetched(it["counts"], it["latency"]) for token, it in said["fetched"].items()
        }
        of = frozenset(map(str, said.get("of", ())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Figures(handed, fetched, of)


def _fetched(counts: tuple[int, int, int], latency: dict[str, Any]) -> Fetched:
    fetched, errors, refused = counts
    read = Latency.from_json(**latency)
    return Fetched(fetched=fetched, errors=errors, refused=refused, latency=read)
