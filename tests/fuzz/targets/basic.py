"""Client credentials in the Authorization header (RFC 6749 §2.3.1, RFC 7617 §2)."""

from base64 import b64encode

from tokenward.oauth.errors import InvalidClient, InvalidRequest
from tokenward.oauth.presented import BASIC, Presented

SEEDS = (
    b"Basic " + b64encode(b"nightly:secret"),
    b"basic  " + b64encode(b"a%20b:c+d%25"),
    b"Basic " + b64encode(b":"),
    b"Basic bmlnaHRseQ",
    b"Bearer abc",
)
WORDS = (b"Basic ", b"basic\t", b"=", b"==", b"Og==", b"OmE=", b"%00", b",", b"\r\n", b"\0")


def attempt(data: bytes) -> None:
    header = data.decode("latin-1")
    try:
        presented = Presented.parse(header, {})
    except (InvalidClient, InvalidRequest) as refused:
        assert refused.description.isascii()
        return
    if not header:
        assert not presented
        return
    assert presented.method == BASIC
    assert header[:6].lower() == "basic "
    id, secret = presented.candidates[-1]
    assert b64encode(f"{id}:{secret}".encode()).decode() == header[6:].lstrip(" ")
    assert id
    assert id.isprintable()
    assert id.isascii()
