"""What somebody else's server answers: a token, a reason, or words of ours about it."""

import httpx2

from tokenward.client.credentials import Credentials
from tokenward.client.errors import TokenError
from tokenward.client.flows import TokenEndpoint
from tokenward.jose.jws import load_object
from tokenward.jose.keys import KeySet
from tokenward.remote.discovery import discover
from tokenward.remote.fetch import RemoteError

ISSUER = "https://issuer.example"
SECRET = "s3cr3t-that-no-message-shows"
ENDPOINT = TokenEndpoint(
    url=f"{ISSUER}/token", credentials=Credentials(client_id="a", client_secret=SECRET)
)
NOW = 1_700_000_000.0
STATUS = (200, 200, 400, 401, 500, 503, 302, 204)

SEEDS = (
    b'\0{"access_token":"abc","token_type":"Bearer","expires_in":3600,"scope":"a b"}',
    b'\1{"access_token":"abc","token_type":"mac","expires_in":"1e9"}',
    b'\2{"error":"invalid_scope","error_description":"no such scope"}',
    (
        b'\0{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/jwks",'
        b'"token_endpoint":"https://other.example/token"}'
    ),
    (
        b'\0{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
        b'"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"1","alg":"ES256"}]}'
    ),
    b'\0{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"},null]}',
    b"\4<html>",
)
WORDS = (
    *(b'"access_token"', b'"token_type"', b'"expires_in"', b'"scope"', b'"error"', b'"Bearer"'),
    *(b'"error_description"', b'"issuer"', b'"jwks_uri"', b'"token_endpoint"', b'"keys"', b'"kty"'),
    *(
        b'"https://issuer.example',
        b"@evil.example",
        b"http://127.0.0.1",
        b"\\r\\n",
        b"-1",
        b"1e999",
    ),
    SECRET.encode(),
)


def attempt(data: bytes) -> None:
    status = STATUS[data[0] % len(STATUS)] if data else 200
    _token(status, data[1:])
    _metadata(status, data[1:])
    _keys(data[1:])


def _token(status: int, body: bytes) -> None:
    flow = ENDPOINT.client_credentials("a b", now=NOW)
    request = next(flow)
    try:
        flow.send(httpx2.Response(status, content=body, request=request))
    except StopIteration as done:
        token = done.value
        assert status == 200
        assert token.value.isascii()
        assert token.value.isprintable()
        assert " " not in token.value
        assert NOW <= token.expires_at <= NOW + 366 * 86_400
    except TokenError as refused:
        said = str(refused) + refused.description
        assert said.isprintable()
        assert len(said) < 1_000
        assert SECRET not in said or SECRET not in body.decode("utf-8", "replace")


def _metadata(status: int, body: bytes) -> None:
    flow = discover(ISSUER)
    try:
        request = next(flow)
        for _ in range(4):
            request = flow.send(httpx2.Response(status, content=body, request=request))
    except StopIteration as done:
        found = done.value
        for url in (found.jwks_uri, found.token_endpoint, found.introspection_endpoint):
            assert (
                not url
                or url.startswith((f"{ISSUER}/", f"{ISSUER}:443/", f"{ISSUER}?"))
                or (httpx2.URL(url).host == "issuer.example")
            )
    except RemoteError as refused:
        assert str(refused).isprintable()


def _keys(body: bytes) -> None:
    try:
        keys = KeySet.parse(load_object(body))
    except ValueError:
        return
    assert len(keys) <= body.count(b"kty")
