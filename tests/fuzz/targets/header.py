"""Header fields of a request to a protected resource, and of an answer that says to wait."""

import math

from tokenward.oauth.errors import InvalidRequest
from tokenward.remote.fetch import LONGEST_RETRY, retry_after
from tokenward.server.http import Received
from tokenward.verifier.bearer import Refusal, credentials

SEEDS = (
    b"Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
    b"bearer  a",
    b"Bearer a\nBearer b",
    b"120",
    b"Fri, 31 Dec 1999 23:59:59 GMT",
    b"Fri, 31 Dec 9999 23:59:59 -0000",
)
WORDS = (
    b"Bearer ",
    b"bearer\t",
    b"Basic ",
    b",",
    b"\n",
    b"GMT",
    b"Dec",
    b"+2500",
    b"\xb9",
    b"99999",
)


def attempt(data: bytes) -> None:
    values = data.split(b"\n")
    found = credentials(values)
    if isinstance(found, str):
        assert len(values) == 1
        assert found.encode() == values[0].strip(b" \t")[7:].lstrip(b" ")
        assert values[0].lower().startswith(b"bearer ")
    else:
        assert isinstance(found, Refusal)
        assert found.status in (400, 401)
    wait = retry_after(data.decode("latin-1"), now=1_700_000_000.0)
    assert wait is None or (math.isfinite(wait) and 0 <= wait <= LONGEST_RETRY)
    received = Received("GET", "/", headers=[(b"x", value) for value in values])
    try:
        said = received.header(b"x")
    except InvalidRequest:
        assert len(values) > 1
    else:
        assert len(values) == 1
        assert said == values[0].decode("latin-1").strip(" \t")
