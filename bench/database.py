"""A PostgreSQL to measure against: durable, out of a wheel, on the core of those who ask.

What it does is not the server's own time, so it must not have the server's core.
"""

from importlib import import_module
from pathlib import Path

from bench.processes import Cores, pinned
from bench.wrk import Void


class Database:
    """A server in a folder."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        """Raises ``Void`` if there is none to be had."""
        try:
            databases = import_module("tests.databases")
        except ImportError as problem:
            raise Void(f"there is no PostgreSQL: {problem}") from problem
        folder.mkdir()
        self._cores = cores
        self._server = databases.PostgreSQL(folder, durable=True)

    def start(self) -> str:
        """Start it; the URL of an empty database. Raises ``Void``."""
        try:
            with pinned(self._cores.load):
                self._server.install()
                self._server.start()
            return str(self._server.fresh())
        except (OSError, AssertionError) as problem:
            raise Void(f"PostgreSQL does not start: {problem}") from problem

    def stop(self) -> None:
        """Stop it."""
        self._server.end()
