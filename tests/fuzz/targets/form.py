"""The body of a token request: read as everybody reads it, or refused (RFC 6749 §3.2)."""

from urllib.parse import parse_qsl

from tokenward.oauth import forms
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import MAY_REPEAT, TokenRequest

SEEDS = (
    b"grant_type=client_credentials&scope=reports%3Aread+reports%3Awrite",
    b"grant_type=client_credentials&client_id=nightly&client_secret=s%20e%2Bc",
    (
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=a.b.c"
        b"&audience=x&audience=y&resource=https%3A%2F%2Fapi.example"
    ),
    b"a=1&a=2&=&b&&c=%C3%BC",
)
WORDS = (
    *(
        b"grant_type=",
        b"client_id=",
        b"client_secret=",
        b"client_assertion=",
        b"scope=",
        b"&",
        b"=",
    ),
    *(b"audience=", b"resource=", b"%00", b"%0a", b"%", b"%u0041", b"%c0%80", b"+", b";", b"#"),
    b"client_credentials",
)


def attempt(data: bytes) -> None:
    try:
        pairs = forms.parse(data)
    except OAuthError as refused:
        assert refused.error == "invalid_request"
        return
    others = parse_qsl(data.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    read = [tuple(text.encode("latin-1").decode() for text in pair) for pair in others]
    assert pairs == read, "another reader would read something else"
    try:
        request = TokenRequest.parse(pairs)
    except OAuthError as refused:
        assert refused.description.isascii()
        assert len(refused.description) < 300
        return
    names = [name for name, value in pairs if value and name not in MAY_REPEAT]
    assert len(names) == len(set(names)), "one of two meanings was chosen"
    assert request.grant_type
    assert "secret" not in repr(request) or "secret" in request.grant_type + "".join(
        request.targets
    )
