"""``/api/token``, ``/api/userauth`` and ``/api/foo``, as Textile's documentation has them.

Law of this module: a private key that came is read, used once and forgotten: it is in no answer, no
event, no log, and what it came in is not kept for the next request.
"""

from dataclasses import dataclass
from typing import ClassVar

import orjson

from tokenward.jose.identity import PrivateKey, UnusableKey
from tokenward.jose.jws import load_object
from tokenward.oauth import forms
from tokenward.oauth.errors import InvalidRequest, OAuthError
from tokenward.server.endpoints import REGISTERED, errors
from tokenward.server.http import JSON, NO_STORE, Answer, Received
from tokenward.server.textile.giving import TOKEN_EVENT, USERAUTH_EVENT, Giving, mind_origin
from tokenward.verifier.bearer import Refusal, credentials

HEADERS = (JSON, *NO_STORE)

# The head of such a request has a private key in it: nothing more is to come behind it.
_LAST = ((b"connection", b"close"),)

_ONLY_POST = {405: ((b"allow", b"OPTIONS, POST"),)}

_NAMES = ("id", "ident")
"""What the key is called: by the server of Textile's example, and by its client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRoute:
    """A token for the owner of a private key, who has to say it: so it is to be a throw-away one.

    Whoever can sign should do that instead, and keep it.
    """

    giving: Giving
    key_in_url: bool = False
    """Whether it may be said in the URL."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST"})
    cors: ClassVar[str] = REGISTERED
    private: ClassVar[bool] = True

    async def answer(self, received: Received) -> Answer:
        """The token and a few words, or an error in JSON; and then nothing more."""
        try:
            async with self.giving.audit.event(TOKEN_EVENT, received) as event:
                mind_origin(received, self.giving.origins)
                key = self._key(received)
                token = await self.giving.to_owner(key.public, event)
        except OAuthError as exc:
            status, headers, body = errors.json(exc)
            return Answer(status, (*headers, *_ONLY_POST.get(status, ()), *_LAST), body)
        said = {"message": "Success: new API token", "token": token}
        return Answer(200, (*HEADERS, *_LAST), orjson.dumps(said))

    def _key(self, received: Received) -> PrivateKey:
        if received.method != "GET":
            return _in_body(received)
        if not self.key_in_url:
            raise Posted
        return _in_url(received.query)


class Posted(InvalidRequest):
    """A private key does not belong into a URL: POST it, as JSON."""

    status = 405


@dataclass(frozen=True, slots=True, kw_only=True)
class UserauthRoute:
    """What an application's server has signed, for whoever is vouched for by a bearer token."""

    giving: Giving
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:
        """Key, date and signature; or 400, 401, 403 or 503 with an error in JSON."""
        shown = [value for name, value in received.headers if name == b"authorization"]
        bearer = credentials(shown)
        try:
            async with self.giving.audit.event(USERAUTH_EVENT, received) as event:
                if isinstance(bearer, str):
                    said = await self.giving.signed(bearer, event)
                elif shown:
                    raise InvalidRequest(bearer.description)
                else:
                    said = await self.giving.signed_for_visitor(event)
        except OAuthError as exc:
            return errors.bearer(exc, presented=not isinstance(bearer, Refusal))
        return Answer(200, HEADERS, said.encode())


@dataclass(frozen=True, slots=True)
class FooRoute:
    """``{"foo": "bar"}``, by which readers of the documentation see that their server runs."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = REGISTERED

    async def answer(self, received: Received) -> Answer:  # noqa: ARG002  as the contract has it
        """That."""
        return _FOO


_FOO = Answer(200, HEADERS, b'{"foo":"bar"}')


def _in_url(query: bytes) -> PrivateKey:
    return _key([(name, value) for name, value in forms.parse(query) if name in _NAMES])


def _in_body(received: Received) -> PrivateKey:
    if received.query:
        raise InvalidRequest("parameters belong into the body, not into the URL")
    kind = received.header(b"content-type").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidRequest("the body must be JSON, and content-type must say so")
    try:
        said = load_object(received.body)
    except ValueError:
        raise InvalidRequest("the body is not a JSON object") from None
    return _key([(name, said[name]) for name in _NAMES if name in said])


def _key(said: list[tuple[str, object]]) -> PrivateKey:
    """The only key there is; raises ``InvalidRequest``, which repeats nothing."""
    if not said:
        raise InvalidRequest("id is required: the private key of an identity")
    if len(said) > 1:
        raise InvalidRequest("id and ident are the same: say one of them, once")
    name, text = said[0]
    if not isinstance(text, str) or not text:
        raise InvalidRequest(f"{name}: a private key is required, as a string")
    try:
        return PrivateKey.from_string(text)
    except UnusableKey as exc:
        raise InvalidRequest(f"{name}: {exc}") from None
