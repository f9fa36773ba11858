"""What to write first: shown where there is neither a file nor anything else to go by."""

from pathlib import Path

from tokenward.server.config import ConfigError, Problem
from tokenward.server.settings.itm import PREFIX

STARTER = """\
issuer = "https://tokens.example.com"   # who we are; a slash at the end counts
store  = "sqlite:tokenward.db"

[callers.nightly]                       # who may ask
proof   = "client_secret"
secrets = ["${NIGHTLY_SECRET_HASH}"]    # from: tokenward hash; in the environment or .env.local

[tokens.reports]                        # what there is to ask for
audience = "https://api.example.com/reports"
scopes   = { "reports:read" = "Read reports" }

[[allow]]                               # who may have what
caller = "nightly"
token  = "reports"
scope  = "reports:read"
"""


def missing(path: Path) -> ConfigError:
    """The error that says so, with a file to begin with."""
    return ConfigError(
        [
            Problem(
                place=str(path),
                message=f"is not there, and no {PREFIX}… variables are set",
                hint=f"to try things out: tokenward dev\nto begin with, this file:\n\n{STARTER}",
            )
        ]
    )
