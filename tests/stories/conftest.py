"""What the stories share: servers that run, and the ledger of what was secret."""

from tests.leaks import ledger
from tests.running import running

__all__ = ["ledger", "running"]
