"""A request signed the way AWS wants it: Signature Version 4.

Law of this module: nothing but arithmetic; the keys are in no ``repr``.
"""

import hmac
import time
from dataclasses import dataclass, field
from hashlib import sha256

import httpx2

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Whose request it is: an access key, with its session if it is a short-lived one."""

    access_key: str
    secret_key: str = field(repr=False)
    session: str = field(default="", repr=False)


def sign(request: httpx2.Request, keys: Keys, *, region: str, service: str, now: float) -> None:
    """Put the signature into the headers; ``now`` is in seconds since the epoch.

    For requests without a query, with a body that is at hand.
    """
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    request.headers["X-Amz-Date"] = at
    if keys.session:
        request.headers["X-Amz-Security-Token"] = keys.session
    signed = {
        name: " ".join(value.split())
        for name, value in sorted(request.headers.items())
        if name in ("content-type", "host") or name.startswith("x-amz-")
    }
    names = ";".join(signed)
    lines = [f"{name}:{value}" for name, value in signed.items()]
    canonical = [request.method, request.url.path, "", *lines, "", names, _hash(request.content)]
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, at, scope, _hash("\n".join(canonical).encode())])
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    request.headers["Authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names},"
        f" Signature={signature}"
    )


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()
