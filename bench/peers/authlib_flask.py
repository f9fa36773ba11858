"""A token endpoint made with Authlib and Flask, as its documentation has it, for gunicorn to run.

``/token`` signs with ES256, ``/rsa/token`` with RS256. Keys are loaded once, and the client is in a
dictionary: what Authlib's users may do better than its examples is done.
"""

import os
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response
from joserfc.jwk import ECKey, RSAKey

SCOPE = "reports:read"


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """The one client."""

    def get_client_id(self) -> str:
        return "service"

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == os.environ["SERVICE_SECRET"]

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method, endpoint) == ("client_secret_basic", "token")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(it for it in scope.split() if it == SCOPE)


class Tokens(JWTBearerTokenGenerator):  # type: ignore[misc]  # the same
    """JWTs for one API, signed with one key."""

    def __init__(self, key: ECKey | RSAKey, algorithm: str) -> None:
        super().__init__("http://127.0.0.1", algorithm, expires_generator=lambda *_: 900)
        self._key = key

    def get_jwks(self) -> Any:
        return self._key

    def get_audiences(self, *_: object) -> str:
        return "https://reports.example.com"


CLIENTS = {"service": Client()}
app = Flask(__name__)


def token_endpoint(path: str, tokens: Tokens) -> None:
    """An authorization server of its own at this path."""
    server = AuthorizationServer(app, CLIENTS.get, lambda *_: None)
    server.register_grant(ClientCredentialsGrant)
    server.register_token_generator("default", tokens)

    def answer() -> Response:
        response: Response = server.create_token_response()
        return response

    app.add_url_rule(path, path, answer, methods=["POST"])


token_endpoint("/token", Tokens(ECKey.generate_key("P-256"), "ES256"))
token_endpoint("/rsa/token", Tokens(RSAKey.generate_key(2048), "RS256"))
