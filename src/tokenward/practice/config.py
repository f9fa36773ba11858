"""The configuration that dev mode runs with: an ordinary ``tokenward.toml``, made on the spot."""

import json
from importlib.util import find_spec
from pathlib import Path
from string import Template

from tokenward.practice.process import Places

CALLER_AUDIENCE = "http://tokenserver.sample.bentley.com"
"""Whom the tokens of the practice identity provider are meant for: us, by the sample's name."""

REPORTS, MODELS = "https://reports.example.com", "https://models.example.com"
SERVICE = "service-practice"
"""What we are to the practice iTwin Platform: its one service application."""

HUB_KEY = "bobzgcy3unfrwkllon52gk4znga"
"""The user-group key of the practice application; no secret, as it is with Textile."""

HUB_MISSING = find_spec("websockets") is None
"""Whether there is no practice Hub, because the package that it needs is not installed."""


def config(folder: Path, port: int, places: Places) -> str:
    """The file that a server on this port runs with, keeping what it keeps in this folder."""
    return (_FILE if HUB_MISSING else _WITH_HUB).substitute(
        store=_text(f"sqlite://{folder / 'tokenward.db'}"),
        audit=_text(str(folder / "audit.jsonl")),
        port=port,
        idp=places.idp,
        itwin=places.itwin,
        hub_key=HUB_KEY,
    )


def _text(value: str) -> str:
    """The value as a TOML string in which no variable is meant."""
    quoted = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return quoted.replace("${", "$${")


_FILE_TEXT = """\
# What "tokenward dev" runs with. It reads no other file; the secrets are in .env.local beside this.
store  = $store
listen = "127.0.0.1:$port"

[audit]
to = $audit
[limits]
address = "50/s burst 200"     # because anybody may come with a key, and make as many as they like

[issuers.main]                 # our own tokens, as RFC 9068 has them
url = "http://127.0.0.1:$port"
[issuers.ims]                  # the same in the dialect of Bentley's IMS
url     = "http://127.0.0.1:$port/ims"
profile = "ims"
[issuers.orders]               # and in that of an Okta custom authorization server
url     = "http://127.0.0.1:$port/oauth2/orders"
profile = "okta"

[callers.mobile]               # anybody the practice identity provider vouches for
proof    = "jwt"
issuer   = "$idp"
audience = "http://tokenserver.sample.bentley.com"
[callers.people]               # anybody who has a key: to make one is to have an account
proof   = "key"
anybody = true
subject = "raw"                # they are their key, and not people|<key>
[callers.demo]                 # one service, registered here
proof   = "client_secret"
secrets = ["$${DEMO_SECRET_HASH}"]
grant_types = ["client_credentials", "token_exchange"]
[callers.reports-api]          # the practice API, which may ask about tokens it is shown
proof   = "client_secret"
secrets = ["$${REPORTS_API_SECRET_HASH}"]
grant_types = []

[tokens.reports]               # ours, for the practice API
audience      = "https://reports.example.com"
scopes        = { "reports:read" = "Read reports", "reports:write" = "Change reports" }
default       = ["reports:read"]
lifetime      = "15m"
introspectors = ["reports-api"]
[tokens.models]                # ours, for an iTwin-like API
from     = "ims"
audience = "https://models.example.com"
scopes   = { "itwin-platform" = "The iTwin Platform" }
[tokens.orders]                # ours, for the Okta-protected API
from     = "orders"
audience = "api://orders"
scopes   = { such_scope = "Much access" }
[tokens.itwin]                 # theirs: fetched from the practice iTwin Platform
upstream      = "client_credentials"
issuer        = "$itwin"
client_id     = "service-practice"
client_secret = "$${ITWIN_CLIENT_SECRET}"
scopes        = { "itwin-platform" = "The iTwin Platform" }

[[allow]]
name   = "people of the practice identity provider who may read models"
caller = "mobile"
claims = { permissions = "models:read" }
token  = "itwin"
scope  = "itwin-platform"
[[allow]]
name   = "whoever shows a key reads reports"
caller = "people"
token  = "reports"
scope  = "reports:read"
[[allow]]
name   = "the demo client reads and writes reports"
caller = "demo"
token  = "reports"
scope  = "reports:read reports:write"
[[allow]]
name   = "the demo client as an iTwin service app"
caller = "demo"
token  = "models"
scope  = "itwin-platform"
[[allow]]
name   = "the demo client on the Okta-like server"
caller = "demo"
token  = "orders"
scope  = "such_scope"
"""

_HUB_TEXT = """
[issuers.hub]                  # a Textile Hub, for clients that know nothing of us
url     = "http://127.0.0.1:$port/hub"
profile = "hub"
[callers.notes]                # an application of Textile's: its people have keys
proof  = "hub_key"
key    = "$hub_key"
secret = "$${HUB_SECRET}"
[tokens.threads]
from     = "hub"
audience = "threads"
lifetime = "1h"
[[allow]]
name   = "people of the notes application"
caller = "notes"
token  = "threads"
[[allow]]
name   = "whoever shows a key has threads"
caller = "people"
token  = "threads"
[textile]                      # the routes of Textile's example of a server: POST /api/token
people = "people"
token  = "threads"
"""

_FILE, _WITH_HUB = Template(_FILE_TEXT), Template(_FILE_TEXT + _HUB_TEXT)

REAL = """\
# tokenward.toml: the same with real values. Then: tokenward check, tokenward serve
store  = "sqlite:tokenward.db"
listen = "0.0.0.0:3001"                              # phones come from outside

[callers.mobile]                                     # anybody your Auth0 tenant vouches for
proof    = "jwt"
issuer   = "https://YOUR-TENANT.us.auth0.com/"       # with the slash
audience = "http://tokenserver.sample.bentley.com"   # the Identifier of the API in Auth0

[tokens.itwin]                                       # fetched with a secret that stays here
upstream      = "client_credentials"
issuer        = "https://ims.bentley.com"
client_id     = "${ITWIN_CLIENT_ID}"                 # in the environment or in .env.local
client_secret = "${ITWIN_CLIENT_SECRET}"
scopes        = { "itwin-platform" = "The iTwin Platform" }

[[allow]]
caller = "mobile"
claims = { permissions = "models:read" }             # who of them may
token  = "itwin"
scope  = "itwin-platform"
"""
