"""The token that somebody has laid out for us: TOKENWARD_ID_TOKEN, or a file of that name.

GitLab puts tokens into variables of any name (``id_tokens:``); whatever writes JWT-SVIDs of SPIFFE,
or tokens of another CI, writes files. What is laid out for us and cannot be used is an error.
"""

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.questions import meant_for
from tokenward.client.errors import TokenError

VARIABLE = "TOKENWARD_ID_TOKEN"
FILE = "TOKENWARD_ID_TOKEN_FILE"


def from_variable(here: Here, audience: str) -> Found:
    """What TOKENWARD_ID_TOKEN holds."""
    token = here.variable(VARIABLE)
    if not token:
        return NotHere(
            why=f"{VARIABLE} is not set",
            remedy=f"GitLab: id_tokens: {{ {VARIABLE}: {{ aud: {audience} }} }}",
        )
    return _usable(meant_for(audience, token, VARIABLE))


def from_file(here: Here, audience: str) -> Found:
    """What is in the file that TOKENWARD_ID_TOKEN_FILE names, read anew each time."""
    path = here.variable(FILE)
    if not path:
        remedy = "SPIFFE: let spiffe-helper write a JWT-SVID, and name its file here"
        if here.variable("SPIFFE_ENDPOINT_SOCKET"):
            remedy += " (the socket of the Workload API is not asked)"
        return NotHere(why=f"{FILE} is not set", remedy=remedy)
    token = here.file(path)
    if not token:
        raise TokenError(
            f"{FILE} names {path}, which {'is empty' if token == '' else 'is not there'}"
        )
    return _usable(meant_for(audience, token, path))


def _usable(found: Found) -> Found:
    if isinstance(found, NotHere):
        raise TokenError(f"{found.why}; {found.remedy}")
    return found


PLACES = (
    Place(name="a variable", identity=from_variable, variables=(VARIABLE,)),
    Place(name="a file", identity=from_file, variables=(FILE,)),
)
