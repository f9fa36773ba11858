"""What is done for a group: many writes in one transaction, many reads in one question.

Law: whoever spoils a group spoils it only for himself.
"""

import struct
from collections.abc import Sequence

from psycopg.pq.abc import PGresult

from tokenward.clock import Clock
from tokenward.server.stores import Again, Counts, First, StoreUnavailable, Theft, Unknown
from tokenward.server.stores.postgres import schema
from tokenward.server.stores.postgres.lines import Job
from tokenward.server.stores.postgres.wire import Refused, Wire, blobs, floats, number, texts

_PURGE_EVERY = 256
"""Writes between two rounds of clearing away; a round clears more than that."""
_TRIES = 5
"""So often we try again where two processes were in each other's way."""

_IN_THE_WAY = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: nothing was done, and doing it again may help."""
_OUR_MISTAKES = frozenset({"22", "23", "54"})
"""Classes of refusals that are about what was asked: bad data, a rule of the tables, a limit."""
_ELSEWHERE = frozenset({"25", "3F", "42", "57"})
"""Read only, without our tables, about to stop: another connection may find what we look for."""
_USUAL = {
    "rotate": (First(), True),
    "begin": (None, True),
    "revoke": (None, True),
    "add": (True, True),
    "put": (None, True),
    "take": (None, False),
    "drop": (None, True),
    "hold": (None, False),
    "renew": (False, False),
    "release": (False, False),
}
"""What callers hear if the database says nothing, and whether anything has changed then."""
_PLAINLY = {"unknown": Unknown(), "there": False, "renewed": True, "released": True}
_CHANGED_NOTHING = frozenset({"unknown", "again", "used", "there"})

_number = struct.Struct("!i").unpack
_long = struct.Struct("!q").unpack


class Groups:
    """What the lines do for those who go together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unpurged = 0
        self.reads = self.writes = self.commits = 0

    @property
    def counts(self) -> Counts:
        return Counts(reads=self.reads, writes=self.writes, commits=self.commits)

    async def write(self, wire: Wire, group: list[Job]) -> None:
        """Do all of it in one transaction or, where somebody spoils that, in several."""
        ordered = sorted(group, key=lambda job: job.order)
        if together := [job for job in ordered if job.work != "swap"]:
            await self._write(wire, together)
        for job in ordered:
            if job.work == "swap":
                await self._swap(wire, job)
        self._unpurged += len(group)
        if self._unpurged >= _PURGE_EVERY:
            self._unpurged = 0
            for purge in schema.PURGES:
                try:
                    await wire.ask(purge, number(self._clock()))
                except Refused:  # it is left for the next time
                    break

    async def read(self, wire: Wire, group: list[Job]) -> None:
        """Ask for all of it; one question for each kind there is in the group."""
        for question in (schema.GET, schema.LOOK):
            jobs = [job for job in group if job.work == question]
            if jobs:
                await self._read(wire, question, jobs)
        for job in group:
            if job.work == schema.KEYS:
                await self._read(wire, schema.KEYS, [job])

    async def _write(self, wire: Wire, group: list[Job]) -> None:
        for tries in range(_TRIES):
            try:
                result = await wire.ask(schema.WRITE, *_arrays(group), number(self._clock()))
            except Refused as refusal:
                if refusal.code in _IN_THE_WAY and tries + 1 < _TRIES:
                    continue
                spoiled: Exception = refusal
            except (TypeError, ValueError, struct.error) as mistake:
                spoiled = mistake
            else:
                self._heard(group, result)
                return
            for part in _parts(wire, group, spoiled):
                await self._write(wire, part)
            return

    async def _swap(self, wire: Wire, job: Job) -> None:
        key, _, new, old, until, _ = job.what
        what = (key, old, new, number(until), number(self._clock()))
        try:
            swapped = (await wire.ask(schema.SWAP, *what)).ntuples == 1
        except Refused as refusal:
            _parts(wire, [job], refusal)
            return
        self.commits += swapped
        job.tell(swapped)

    async def _read(self, wire: Wire, question: str, jobs: list[Job]) -> None:
        keys = sorted({key for job in jobs for key in job.what})
        try:
            result = await wire.ask(question, texts(keys), number(self._clock()))
        except Refused as refusal:
            for part in _parts(wire, jobs, refusal):
                await self._read(wire, question, part)
            return
        if question == schema.KEYS:
            found = [_text(result, row, 0) for row in range(result.ntuples)]
            jobs[0].tell(found)
            return
        kept = {result.get_value(row, 0): result.get_value(row, 1) for row in range(result.ntuples)}
        for job in jobs:
            job.tell(kept.get(job.what[0]))

    def _heard(self, group: list[Job], result: PGresult) -> None:
        """Whoever the answer does not mention got what is usual."""
        unusual: dict[int, object] = {}
        changed = False
        for row in range(result.ntuples):
            said = _text(result, row, 1)
            changed = changed or said not in _CHANGED_NOTHING
            unusual[_number(result.get_value(row, 0) or b"")[0] - 1] = _heard(said, result, row)
        for place, job in enumerate(group):
            if place in unusual:
                job.tell(unusual[place])
            else:
                answer, changes = _USUAL[job.work]
                changed = changed or changes
                job.tell(answer)
        self.commits += changed


def _arrays(group: list[Job]) -> Sequence[bytes]:
    """What the function in the database is told: the works, and what each is about."""
    works = texts([job.work.encode() for job in group])
    keys, names, things, replays, untils, graces = zip(*(job.what for job in group), strict=True)
    return (
        *(works, texts(keys), texts(names), blobs(things), blobs(replays)),
        *(floats(untils), floats(graces)),
    )


def _parts(wire: Wire, group: list[Job], spoiled: Exception) -> list[list[Job]]:
    """Who should try again, apart from each other; whoever is alone hears what is wrong."""
    if isinstance(spoiled, Refused) and spoiled.code[:2] not in _OUR_MISTAKES:
        if spoiled.code[:2] in _ELSEWHERE:
            wire.close(str(spoiled))
        for job in group:
            job.tell(StoreUnavailable(f"postgresql: {spoiled} ({spoiled.code})"))
        return []
    if len(group) > 1:
        half = len(group) // 2
        return [group[:half], group[half:]]
    group[0].tell(ValueError(str(spoiled)) if isinstance(spoiled, Refused) else spoiled)
    return []


def _heard(said: str, result: PGresult, row: int) -> object:
    kept = result.get_value(row, 3)
    match said:
        case "taken":
            return kept
        case "again":
            return Again(replay=kept or b"")
        case "theft":
            return Theft(family=_text(result, row, 4))
        case "held":
            return _long(result.get_value(row, 2) or b"")[0]
        case "used":
            return ValueError("this key is in use")
        case _:
            return _PLAINLY[said]


def _text(result: PGresult, row: int, column: int) -> str:
    return (result.get_value(row, column) or b"").decode()
