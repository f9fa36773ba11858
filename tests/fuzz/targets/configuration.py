"""A configuration file: settings, or all of its mistakes, none of which shows a secret."""

import os
from pathlib import Path
from tempfile import mkdtemp

from tokenward.server.config import ConfigError
from tokenward.server.settings import load

SECRET = "s3cr3t-that-no-message-shows"
ENVIRON = {"NIGHTLY_SECRET": SECRET, "NIGHTLY_SECRET_HASH": "sha256:" + "0" * 64}
MEMORY = "/dev/shm"
FILE = Path(mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)) / "tokenward.toml"

SEEDS = (
    b"""issuer = "https://tokens.example.com"
store = "memory:"
[callers.nightly]
proof = "client_secret"
secrets = ["${NIGHTLY_SECRET_HASH}"]
[tokens.reports]
audience = "https://api.example.com"
scopes = { "reports:read" = "" }
lifetime = "15m"
[[allow]]
caller = "nightly"
token = "reports"
scope = "reports:read"
""",
    b"""[callers.mobile]
proof = "jwt"
issuer = "https://dev-x.us.auth0.com/"
audience = "a"
[tokens.itwin]
upstream = "client_credentials"
issuer = "https://ims.bentley.com"
client_id = "a"
client_secret = "${NIGHTLY_SECRET}"
[[allow]]
caller = "mobile"
claims = { permissions = ["a", "b*"], "a.b" = true }
token = "itwin"
""",
    b'store = "${NIGHTLY_SECRET}"\nissuer = "${NIGHTLY_SECRET}"\n[issuers.a]\nurl = 3\n',
    b"[issuers.main]\nurl = 'http://[::1'\nprofile = 'okta'\n[audit]\nto = ''\n",
)
WORDS = (
    *(b"[issuers.", b"[callers.", b"[tokens.", b"[[allow]]", b"[audit]", b'proof = "', b"${", b"}"),
    *(
        b"${NIGHTLY_SECRET}",
        b"claims",
        b"scope",
        b"lifetime",
        b'"15m"',
        b"= true",
        b"= []",
        b"= {}",
    ),
    *(b'"memory:"', b'"sqlite:', b'"client_secret"', b'"jwt"', b'"none"', b"1979-05-27", b"nan"),
)


def attempt(data: bytes) -> None:
    FILE.write_bytes(data)
    try:
        settings = load(FILE, ENVIRON)
    except ConfigError as refused:
        assert refused.problems
        assert all(problem.place and problem.message for problem in refused.problems)
        said = str(refused) + "".join(map(str, refused.warnings))
    else:
        said = repr(settings) + "".join(map(str, settings.warnings))
    assert SECRET not in said
