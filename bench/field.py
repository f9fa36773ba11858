"""Everybody who takes part, started before anything is measured.

Law: who cannot take part is named with what would help; the others go on.
"""

import json
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from bench import neighbours, node, wrk
from bench.answering import Answering
from bench.asking import Wrong
from bench.contestants import (
    ASGI,
    AUTHLIB,
    BARE,
    EXPRESS,
    MANY,
    OIDC,
    ONE,
    OURS,
    PROVING,
    PROXIED,
    REFRESH,
    TWO,
    Contestant,
)
from bench.contestants.authlib_flask import authlib_flask
from bench.contestants.bare import bare
from bench.contestants.express import express
from bench.contestants.oidc_provider import oidc_provider
from bench.contestants.ourselves import by_asgi, ourselves, refreshing, with_workers
from bench.contestants.proving import proving
from bench.database import Database
from bench.ours import ROOT, Ours
from bench.processes import Cores, DidNotStart, Program
from bench.proving import Proofs
from bench.wrk import Load, Void

IN_NODE = frozenset({OIDC, EXPRESS, "node"})
LIFETIME = "12h"
"""Of tokens: those that are shown again and again must outlive the run."""


@dataclass(slots=True, kw_only=True)
class Field:
    """The contestants of one run."""

    folder: Path
    cores: Cores
    say: Callable[[str], None]
    quick: bool = False
    seconds: int = 4
    """Of one measurement."""

    servers: dict[str, Contestant] = field(default_factory=dict)
    libraries: dict[str, Answering] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Who cannot take part, and why."""

    node: Path | None = None
    ours: Ours = field(init=False)
    load: Load = field(init=False)
    _database: Database | None = None
    _starters: dict[str, Contestant] = field(default_factory=dict)
    _tokenwards: list[Ours] = field(default_factory=list)
    _files: dict[tuple[str, str], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ours = self.another("product")
        self.load = Load(cores=self.cores.load, folder=self.folder / "requests")

    def start(self, wanted: AbstractSet[str]) -> None:
        """Start those who are wanted and can be started; raises ``Void`` if there is no wrk."""
        if wanted & {OURS, ASGI, PROVING, ONE, TWO, REFRESH, BARE, AUTHLIB, OIDC, EXPRESS}:
            wrk.bring()
        if wanted & IN_NODE:
            try:
                self.node = node.bring(self.say)
            except Void as problem:
                self.missing |= dict.fromkeys(IN_NODE, str(problem))
        # Ours is always there: the others have its secrets, and its issuer vouches for everybody.
        self._server(ourselves(self.ours))
        servers: dict[str, Callable[[], Contestant]] = {
            ASGI: lambda: by_asgi(self.another("asgi")),
            REFRESH: lambda: refreshing(self.another("refreshing")),
            PROVING: lambda: proving(PROVING, Proofs(ours=self.another("proving"))),
            PROXIED: lambda: proving(PROXIED, Proofs(ours=self.another("proxied"), proxied=True)),
            BARE: lambda: bare(self.folder, self.cores),
            AUTHLIB: lambda: authlib_flask(self.folder, self.cores, self.ours),
            ONE: lambda: with_workers(self.another("one"), ONE, 1),
            TWO: lambda: with_workers(self.another("two"), TWO, 2),
        }
        if (found := self.node) is not None:
            servers[OIDC] = lambda: oidc_provider(self.folder, self.cores, self.ours, found)
            servers[EXPRESS] = lambda: express(self.folder, self.cores, self.ours, found)
        for name in wanted & servers.keys():
            self._server(servers[name](), name)
        self._start_libraries(wanted)

    def stop(self) -> None:
        """Stop them all."""
        for library in self.libraries.values():
            library.stop()
        for server in (*self.servers.values(), *self._starters.values()):
            server.stop()
        if self._database is not None:
            self._database.stop()

    def server(self, name: str) -> Contestant:
        """One of them; raises ``Void`` if it is missing."""
        if name not in self.servers:
            raise Void(f"{name} is missing: {self.missing.get(name, 'it was not started')}")
        return self.servers[name]

    def library(self, name: str) -> Answering:
        """One of them; raises ``Void`` if it is missing."""
        if name not in self.libraries:
            raise Void(f"{name} is missing: {self.missing.get(name, 'it was not started')}")
        return self.libraries[name]

    def requests(self, server: Contestant, what: str) -> Path:
        """The file of requests for this, written once; raises ``Void`` for what it cannot do."""
        key = (server.name, what)
        if key not in self._files:
            if what not in server.asked:
                raise Void(f"{server.name} has no {what}")
            name = f"{len(self._files)}.requests"
            try:
                self._files[key] = self.load.written(name, server.asked[what]())
            except Wrong as problem:
                raise Void(str(problem)) from problem
        return self._files[key]

    def another(self, name: str) -> Ours:
        """One more tokenward, not yet started; it is for whoever asks to stop it."""
        made = Ours(folder=self.folder / name, cores=self.cores, lifetime=LIFETIME)
        self._tokenwards.append(made)
        return made

    def fresh(self, who: str, name: str) -> Contestant:
        """A contestant of its own that is not running, for whoever asks to start and stop; raises
        ``Void``."""
        ours = self.another(name)
        if who == OURS:
            return ourselves(ours)
        if self.node is None:
            raise Void(self.missing.get("node", "there is no node"))
        return oidc_provider(self.folder / name, self.cores, ours, self.node)

    def starter(self, who: str) -> Contestant:
        """The one that is started again and again; its neighbours run, and its first start, which
        makes keys and tables, is over."""
        if who not in self._starters:
            made = self.fresh(who, f"start-{who}")
            made.start()
            made.program.stop()
            self._starters[who] = made
        return self._starters[who]

    def tidy(self) -> None:
        """Empty the audit trails that have become long."""
        for one in self._tokenwards:
            if not one.program.ended:
                _ = one.trail

    def _server(self, contestant: Contestant, name: str = "") -> None:
        name = name or contestant.name
        self.say(f"starting {name}")
        try:
            contestant.start()
        except DidNotStart as problem:
            self.missing[name] = str(problem)
            contestant.stop()
        else:
            self.servers[name] = contestant

    def _start_libraries(self, wanted: AbstractSet[str]) -> None:
        """Those who verify tokens, and the stores."""
        if wanted & {"Python", "node"}:
            self._start_verifying(wanted)
        if "signatures" in wanted:
            self._library("signatures", [sys.executable, "-m", "bench.checking"])
        if "SQLite" in wanted:
            sqlite = f"sqlite://{self.folder / 'stored.db'}"
            self._library("SQLite", [sys.executable, "-m", "bench.storing", sqlite])
        if "PostgreSQL" in wanted:
            try:
                self._database = Database(self.folder / "postgresql", self.cores)
                url = self._database.start()
            except Void as problem:
                self.missing["PostgreSQL"] = str(problem)
            else:
                self._library("PostgreSQL", [sys.executable, "-m", "bench.storing", url])

    def _start_verifying(self, wanted: AbstractSet[str]) -> None:
        tokens = self.folder / "tokens.json"
        made = {
            algorithm: [self.ours.caller(f"{it}", algorithm) for it in range(MANY)]
            for algorithm in ("RS256", "ES256")
        }
        tokens.write_text(json.dumps(made))
        about = [self.ours.neighbour, neighbours.AUDIENCE, str(tokens)]
        keys = str(self.ours.folder / "keys")
        self._library("Python", [sys.executable, "-m", "bench.verifying", *about, keys])
        if self.node is not None and "node" in wanted:
            self._library("node", [self.node, node.FOLDER / "verify.mjs", *about])

    def _library(self, name: str, command: list[str | Path]) -> None:
        self.say(f"starting {name}")
        self.libraries[name] = Answering(
            program=Program(
                name=name,
                command=command,
                folder=self.folder / f"library-{name}",
                cores=self.cores.server,
                environ={"PYTHONPATH": str(ROOT)},
            )
        )
        self.libraries[name].start()
