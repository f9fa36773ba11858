"""What is seen from outside: how much was asked, of whom, how it ended, and how long it took.

Law of this module: on the way to an answer a number is added to, and nothing else happens; what
monitoring systems want is made of these numbers when one of them asks. A label is only ever a word
of ours or of the configuration: nobody makes new ones by asking for something odd.
"""

import asyncio
import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from tokenward.oauth.messages import CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE
from tokenward.server.audit import CHALLENGE, Event

SHARED = "TOKENWARD_METRICS_DIR"
"""Names the folder in which the processes of one server leave their numbers for each other."""

EVERY = 1.0
"""Seconds between two times that a process leaves its numbers."""

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper ends, in seconds; most answers take less than a thousandth."""

_GRANTS = {
    CLIENT_CREDENTIALS: "client_credentials",
    TOKEN_EXCHANGE: "token_exchange",
    JWT_BEARER: "jwt_bearer",
    "": "",
}
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS"})

Key = tuple[str, ...]
Numbers = dict[str, Any]
"""All numbers of one process, as JSON can hold them."""


@dataclass(slots=True)
class Tally:
    """The numbers of this process."""

    events: Counter[Key] = field(default_factory=Counter)
    """By kind, grant type, client, token and error; the error is ``""`` where there was none."""

    requests: Counter[Key] = field(default_factory=Counter)
    """By route, method and status."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """By route: how many took how long, then the sum."""

    def event(self, event: Event) -> None:
        """An audited request has ended."""
        client, authorization = event.client, event.authorization
        if event.failure is None and event.kind == CHALLENGE:
            authorization = None  # what was given here was not the token itself
        key = (
            event.kind,
            grant_of(event),
            "" if client is None else client.id,
            "" if authorization is None else authorization.token,
            "" if event.failure is None else event.failure["error"],
        )
        self.events[key] += 1

    def seen(self, route: str, method: str, status: int, seconds: float, _id: str) -> None:
        """A request has been answered, whatever it was."""
        self.requests[route, method if method in _METHODS else "other", str(status)] += 1
        spans = self.seconds.get(route)
        if spans is None:
            spans = self.seconds[route] = [0.0] * (len(BUCKETS) + 2)
        spans[bisect_left(BUCKETS, seconds)] += 1
        spans[-1] += seconds

    def numbers(self) -> Numbers:
        """All of them, as they are now."""
        return {
            "events": [[*key, count] for key, count in self.events.items()],
            "requests": [[*key, count] for key, count in self.requests.items()],
            "seconds": {route: list(spans) for route, spans in self.seconds.items()},
        }


@dataclass(slots=True, kw_only=True)
class Metrics:
    """The numbers of a server, however many processes it has."""

    tally: Tally = field(default_factory=Tally)
    more: Callable[[], Numbers] = dict
    """What the parts of this process have counted themselves."""

    folder: Path | None = None
    """Where all processes leave their numbers; ``None`` if there is only this one."""

    _name: str = ""
    _leaving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to leave numbers for the other processes, if there are any."""
        # A process of later may have the number of one that is gone, whose counts still count.
        self._name = f"{os.getpid()}-{time_ns()}.json"
        if self.folder is not None:
            self._leaving = asyncio.create_task(self._leave(), name="tokenward-metrics")

    async def close(self) -> None:
        """Leave the last numbers: what was counted once is never taken back."""
        if self._leaving is not None:
            self._leaving.cancel()
            with suppress(asyncio.CancelledError):
                await self._leaving
            self._write()

    def numbers(self) -> Numbers:
        """Of all processes together, those that have ended too."""
        mine = {**self.tally.numbers(), **self.more()}
        if self.folder is None:
            return mine
        own = self._file(self.folder)
        others = [_read(path) for path in self.folder.glob("*.json") if path != own]
        return together([mine, *filter(None, others)])

    async def _leave(self) -> None:
        while True:
            self._write()
            await asyncio.sleep(EVERY)

    def _write(self) -> None:
        if self.folder is None:
            return
        file = self._file(self.folder)
        draft = file.with_suffix(".draft")
        with suppress(OSError):  # numbers are not worth a request
            draft.write_text(json.dumps({**self.tally.numbers(), **self.more()}), "utf-8")
            draft.replace(file)

    def _file(self, folder: Path) -> Path:
        return folder / self._name


def grant_of(event: Event) -> str:
    """The grant type that was asked for, as a word of ours; ``""`` if it was no question of one."""
    return "" if event.request is None else _GRANTS.get(event.request.grant_type, "other")


def shared_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder that whoever started several processes has made for them."""
    return Path(environ[SHARED]) if environ.get(SHARED) else None


def together(all_numbers: Iterable[Numbers]) -> Numbers:
    """The sums of the numbers of several processes."""
    events, requests = Counter[Key](), Counter[Key]()
    spans: dict[str, dict[str, list[float]]] = {"seconds": {}, "waited": {}}
    rest: dict[str, Counter[str]] = {}
    gauges: Numbers = {}
    for numbers in all_numbers:
        for *key, count in numbers.get("events", ()):
            events[tuple(key)] += count
        for *key, count in numbers.get("requests", ()):
            requests[tuple(key)] += count
        for what, sums in spans.items():
            for label, more in numbers.get(what, {}).items():
                before = sums.get(label, [0.0] * len(more))
                sums[label] = [one + other for one, other in zip(before, more, strict=True)]
        for upstream, counts in numbers.get("upstreams", {}).items():
            rest.setdefault(upstream, Counter()).update(counts)
        gauges = {"keys": numbers.get("keys", {})} | gauges
    return {
        "events": [[*key, count] for key, count in events.items()],
        "requests": [[*key, count] for key, count in requests.items()],
        **spans,
        "upstreams": {name: dict(counts) for name, counts in rest.items()},
        **gauges,
    }


def _read(path: Path) -> Numbers:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    return {}
