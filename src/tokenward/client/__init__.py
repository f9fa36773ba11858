"""For those who ask for tokens: one line to get one, one line to send one with every request.

Law of this package: it knows the language (oauth) and other people's servers (remote), and nothing
of ours. Secrets and tokens go over TLS, in headers and bodies, to the address they were meant for.

* ``auth``         TokenAuth: a token with every request of httpx2
* ``once``         get_token, aget_token
* ``named``        token_for, requires_token: whoever this program is
* ``accounts``     Accounts: those that people have elsewhere, connected for this app
* ``ambient``      who that is in a CI job, a pod or a cloud machine
* ``cache``        one question for a crowd of threads and tasks, remembered, asked again early
* ``disk``         the same for all processes of a user
* ``asking``       again if that may help, within a deadline
* ``flows``        the conversations with a token endpoint, without I/O
* ``credentials``  who we are, and whom we may tell
* ``identity``     a key of our own instead of a password
* ``environment``  settings that the program does not give
* ``errors``       no token, and why
"""

from tokenward.client.auth import Options, TokenAuth
from tokenward.client.cache import TokenCache
from tokenward.client.credentials import ANONYMOUS, Credentials, InsecureURL
from tokenward.client.errors import TokenError
from tokenward.client.flows import TokenEndpoint
from tokenward.client.identity import KeyIdentity
from tokenward.client.once import aget_token, get_token

__all__ = [
    "ANONYMOUS",
    "Credentials",
    "InsecureURL",
    "KeyIdentity",
    "Options",
    "TokenAuth",
    "TokenCache",
    "TokenEndpoint",
    "TokenError",
    "aget_token",
    "get_token",
]
