"""An issuer on loopback that knows whoever has a key, as tokenward does."""

import json
from urllib.parse import parse_qs

from tests.client.standin import Asked, Issuer, Reply, granted
from tokenward.jose import keyproof


class KeyIssuer(Issuer):
    """Asks a new question each time, and remembers the answers it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[keyproof.Shown] = []
        self.forms: list[dict[str, list[str]]] = []
        self.question: object = None
        self.routes["/challenge"] = self.challenge
        self.routes["/connect/token"] = self.exchange

    def metadata(self) -> dict[str, object]:
        return super().metadata() | {"key_challenge_endpoint": f"{self.url}/challenge"}

    def challenge(self, asked: Asked) -> Reply:
        if self.question is not None:
            return self.question if isinstance(self.question, Reply) else Reply(body=self.question)
        self.forms.append(asked.form)
        return Reply(body={"nonce": f"question-{len(self.forms)}", "expires_in": 60})

    def exchange(self, asked: Asked) -> Reply:
        if self.answers:
            return self.answers.pop(0)
        form = parse_qs(asked.body.decode())
        shown = keyproof.read(form["subject_token"][0])
        key = shown.verified(now=0)
        if (shown.audience, shown.nonce) != (self.url, f"question-{len(self.forms)}"):
            return Reply(400, {"error": "invalid_grant"})
        self.shown.append(shown)
        return Reply(
            body=granted(
                f"for-{key}-{len(self.shown)}",
                scope=" ".join(form.get("scope", [])),
                expires_in=3600,
                issued_token_type="urn:ietf:params:oauth:token-type:access_token",
            )
        )


def told(asked: list[Asked]) -> str:
    """Everything that was ever said to a server."""
    return json.dumps([[it.path, it.headers, it.body.decode()] for it in asked])
