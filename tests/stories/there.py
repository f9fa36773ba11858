"""The others in the stories: an Auth0 tenant and Bentley's IMS, real servers on loopback."""

import json
import time
from base64 import b64encode
from urllib.parse import quote_plus

from tests.servers import Issuer
from tests.upstream import Handler, Upstream
from tokenward.jose.keys import SigningKey

API = "http://tokenserver.sample.bentley.com"
"""The identifier of the sample's API in Auth0."""

PROFILE = {
    "email": "ann.mustermann@example.com",
    "name": "Ann Mustermann",
    "nickname": "ann.the.tester",
    "picture": "https://pictures.example.com/ann.png",
}


class Auth0(Issuer):
    """A tenant: a slash at the end of its name, and its keys as certificates too."""

    def __init__(self, *keys: SigningKey) -> None:
        super().__init__(*keys, path="/")

    @property
    def jwks_uri(self) -> str:
        return f"{self.origin}/.well-known/jwks.json"

    def _good(self, handler, path):
        if path == "/.well-known/jwks.json":
            self._send(handler, json.dumps(self.jwks()).encode())
        else:
            self._send(handler, b"not here", status=404, type="text/plain")

    def sign_in(self, *, key: SigningKey | None = None, **changes: object) -> str:
        """What the app has after somebody signed in; a claim that is ``...`` is left out."""
        said = {
            "aud": [API, f"{self.url}userinfo"],
            "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "azp": "practice-app",
            "scope": "openid profile email",
            **PROFILE,
        }
        return self.token(key=key, typ="JWT", **said | changes)


class Ims(Upstream):
    """Knows one service application, and gives it tokens that look like its own."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        super().__init__()
        self.key = SigningKey.generate("RS256")
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self.basic = f"Basic {b64encode(pair.encode()).decode()}"
        self.client_id = client_id
        self.tokens: list[str] = []
        self.always = self.answer

    def answer(self, handler: Handler) -> None:
        """A token for whoever asks as IMS wants to be asked."""
        asked = self.questions[-1]
        right = (asked.path, asked.headers.get("authorization")) == ("/connect/token", self.basic)
        if not right or asked.form.get("grant_type") != "client_credentials":
            handler.say(400, b'{"error":"invalid_client"}', Content_Type="application/json")
            return
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": f"{self.url}/resources",
            "client_id": self.client_id,
            "scope": asked.form["scope"].split(),
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "jti": f"{len(self.tokens):032X}",
        }
        self.tokens.append(self.key.sign(claims, typ="at+jwt"))
        answer = {
            "access_token": self.tokens[-1],
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": asked.form["scope"],
        }
        handler.say(200, json.dumps(answer).encode(), Content_Type="application/json")
