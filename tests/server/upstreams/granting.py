"""An authorization for an upstream, as the policy would make it, and ways to break an answer."""

import math

from tests.upstream import THEIRS, dripping, endless, hangs_up, not_http, says, silent, token
from tokenward.oauth.messages import TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope
from tokenward.server.model import NOBODY, NOTHING_SHOWN, Authorization, Caller, Grant

NOW = 1_800_000_000.0


def granted(scope="", shown=NOTHING_SHOWN):
    caller = Caller(name="mobile", subject="mobile|ann")
    grant = Grant(caller=caller, client=NOBODY, grant_type=TOKEN_EXCHANGE, shown=shown)
    return Authorization(
        grant=grant, token="theirs", scope=Scope.parse(scope), lifetime=math.inf, rule="r"
    )


BROKEN = {
    "slow": dripping,
    "silent": silent,
    "huge": endless,
    "hangs up": hangs_up,
    "no HTTP": not_http,
    "a page": says(200, f"<html>{THEIRS}</html>", Content_Type="text/html"),
    "401": says(401, f'{{"error": "invalid_client", "error_description": "{THEIRS}"}}'),
    "403": says(403, THEIRS),
    "500": says(500, THEIRS),
    "a redirect": says(302, Location="https://evil.example.com/"),
    "a dead token": token(expires_in=0),
    "another kind": token(token_type="mac"),
    "a wider scope": token(scope="read write everything"),
}
"""What no token must come of, whoever is asked."""
