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


PRACTICE = Path(".tokenward", "tokenward.toml")
"""What ``tokenward dev`` runs with, in the folder where it was started."""


def missing(path: Path) -> ConfigError:
    """The error that says so, with a file to begin with."""
    try_out = "to try things out: tokenward dev"
    if (path.parent / PRACTICE).is_file():
        try_out = f"that of tokenward dev: --config {path.parent / PRACTICE}"
    return ConfigError(
        [
            Problem(
                place=str(path),
                message=f"is not there, and no {PREFIX}… variables are set",
                hint=f"{try_out}\nto begin with, this file:\n\n{STARTER}",
            )
        ]
    )
