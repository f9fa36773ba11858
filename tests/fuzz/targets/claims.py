"""Claims, signed by somebody who is allowed to sign, but not to say just anything."""

import json
import math

from tests.jose.forge import AUDIENCE, CLAIMS, EXPECTED, ISSUER, NOW
from tokenward.jose.jws import InvalidToken, load_object

SEEDS = (
    json.dumps(CLAIMS).encode(),
    json.dumps({**CLAIMS, "aud": ["https://other.example", AUDIENCE]}).encode(),
    json.dumps(
        {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 1, "nested": [[{"a": [1.5]}]]}
    ).encode(),
    b'{"iss":"a","iss":"b"}',
    b'{"exp":1e400,"iat":-0.0}',
    b'{"a":"\\ud800"}',
)
WORDS = (
    *(b'"iss"', b'"aud"', b'"exp"', b'"nbf"', b'"iat"', b'"sub"', b'"jti"', b"null", b"true"),
    *(b"NaN", b"Infinity", b"1e999", b"-1", b"\\u0000", b"\\ud800", b"\xef\xbb\xbf", b"[[[[", b"{"),
    json.dumps(ISSUER).encode(),
    json.dumps(AUDIENCE).encode(),
    str(NOW + 1).encode(),
)


def attempt(data: bytes) -> None:
    try:
        claims = load_object(data)
    except ValueError as refused:
        assert type(refused) is ValueError, "an error of some library, not ours"
        return
    assert isinstance(claims, dict)
    assert claims == json.loads(data.decode()), "another reader would read something else"
    try:
        EXPECTED.check(claims, now=NOW)
    except InvalidToken:
        return
    assert claims["iss"] == ISSUER
    assert claims["aud"] == AUDIENCE or AUDIENCE in claims["aud"]
    assert math.isfinite(claims["exp"])
    assert claims["exp"] + EXPECTED.leeway > NOW
    for name in ("sub", "jti", "client_id"):
        assert isinstance(claims.get(name, "absent"), str)
