"""A store of each kind, a clock one sets, and what figures are made of."""

from tests.server.stores.conftest import clock, database, kind, store

__all__ = ["clock", "database", "kind", "store"]
