"""POST /challenge: whoever has a key is asked a question that only its owner can answer.

Nobody has to be known for that, and nothing is written: whose key it is, and whether it may have
anything, is decided when the answer comes to the token endpoint.

Where an upstream has a question of its own, whoever wants its token asks for that as for the token
itself, and is let in, or not, as there: it is the upstream's work, and ours, to have it asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import orjson

from tokenward.jose.identity import PublicKey, UnusableKey
from tokenward.jose.jws import encode, load_object
from tokenward.oauth.errors import InvalidRequest
from tokenward.oauth.messages import TokenRequest
from tokenward.server.audit import CHALLENGE, Audit
from tokenward.server.challenges import LIFETIME, Challenges
from tokenward.server.endpoints import REGISTERED
from tokenward.server.endpoints.token import HEADERS, form
from tokenward.server.http import Answer, Received
from tokenward.server.issuance import Issuance

_JSON = "application/json"
LONGEST_CLIENT = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeEndpoint:
    """The questions of one issuer."""

    issuer: str
    """Its name."""

    challenges: Challenges | None
    """Ours; ``None`` if nobody is known by a key."""

    issuance: Issuance
    audit: Audit
    methods: ClassVar[frozenset[str]] = frozenset({"POST"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:
        """A nonce for this key, at this issuer, for this client; ``InvalidRequest`` for no key."""
        asked = _asked(received)
        if self.challenges is None or "grant_type" in asked:
            return await self._theirs(received, asked)
        key, client = _key(asked.get("public_key")), asked.get("client_id", "")
        if not isinstance(client, str) or len(client) > LONGEST_CLIENT:
            raise InvalidRequest("client_id: no client has such an id")
        said = {
            "nonce": self.challenges.ask(key, issuer=self.issuer, client=client),
            "expires_in": int(LIFETIME),
            "public_key": key.text,
            "alg": key.algorithm,
            "aud": self.challenges.issuers[self.issuer],
        }
        return Answer(200, HEADERS, orjson.dumps(said))

    async def _theirs(self, received: Received, asked: Mapping[str, object]) -> Answer:
        """The question of the upstream whose token is asked for."""
        async with self.audit.event(CHALLENGE, received) as event:
            key = _key(asked.get("public_key"))
            if not all(isinstance(value, str) for value in asked.values()):
                raise InvalidRequest("a parameter is not a text")
            request = TokenRequest.parse(
                [(name, str(value)) for name, value in asked.items()],
                authorization=received.header(b"authorization"),
                certificate=received.certificate,
                issuer=self.issuer,
            )
            found = await self.issuance.challenge(request, event, key)
        said = {
            "challenge": encode(found.challenge),
            "auth_session": found.session,
            "expires_in": found.seconds,
            "public_key": key.text,
            "alg": key.algorithm,
        }
        return Answer(200, HEADERS, orjson.dumps(said))


def _asked(received: Received) -> Mapping[str, object]:
    """The parameters, as a form or as JSON; parameters in the URL are refused."""
    if received.header(b"content-type").partition(";")[0].strip().lower() == _JSON:
        if received.query:
            raise InvalidRequest("parameters belong into the body, not into the URL")
        try:
            return load_object(received.body)
        except ValueError:
            raise InvalidRequest("the body is not a JSON object") from None
    asked: dict[str, object] = {}
    for name, value in form(received):
        if name in asked:
            raise InvalidRequest("a parameter is repeated")
        if value:
            asked[name] = value
    return asked


def _key(said: object) -> PublicKey:
    """The key, in any notation; a JWK may be an object in JSON."""
    try:
        match said:
            case str() if said:
                return PublicKey.from_string(said)
            case dict():
                return PublicKey.from_jwk(said)
    except UnusableKey as exc:
        raise InvalidRequest(f"public_key: {exc}") from None
    except ValueError:
        raise InvalidRequest("public_key: not a key") from None
    raise InvalidRequest("public_key is required")
