"""A token that only its issuer can read: the issuer is asked whether it is good, and whose.

What it answers (RFC 7662) is judged as strictly as what a JWT says.

Law of this module: nobody's token is shown to an issuer that it is not from, as far as that can be
told: it must begin as the settings say, and name no other issuer. An issuer that does not answer
vouches for nobody, and of a crowd with the same token one asks.
"""

import math
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, cast
from urllib.parse import urlencode

import httpx2

from tokenward.client.credentials import Credentials
from tokenward.jose.jws import Expired, InvalidToken
from tokenward.jose.jwt import Expected, issuer_of
from tokenward.oauth.errors import InvalidGrant
from tokenward.remote.discovery import check_url, discover
from tokenward.remote.fetch import RemoteError, arun, json_object
from tokenward.remote.flow import Flow
from tokenward.server.apikeys import PREFIX as KEY
from tokenward.server.inquiries import Answer, Inquiries, Refused
from tokenward.server.model import Caller
from tokenward.server.proofs import Trusting
from tokenward.server.values import Within

LONGEST = 8_192
"""Characters of a token; a longer one is nobody's."""

LONGEST_ANSWER = 32 * 1_024
"""Bytes of what the issuer says about one, so that few large answers cannot fill memory."""

SHORTEST_PREFIX = 3

REDISCOVER = 3_600.0
"""Seconds after which the issuer's metadata is read again."""

_NOWHERE = (-math.inf, "")

# RFC 6749 App. A.12: access-token = 1*VSCHAR; without the space, which ends a token in a header.
_TOKEN = re.compile(r"[\x21-\x7E]+")
_PREFIX = re.compile(r"[\x21-\x7E]*")

# What kind of token it is, where the answer says so: it must be one that is shown to others.
_KINDS = {
    "token_type": frozenset({"bearer"}),
    "token_use": frozenset({"access", "access_token"}),
    "typ": frozenset({"bearer", "jwt", "at+jwt", "application/at+jwt"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """Settings of an issuer that is asked about its tokens."""

    issuer: str
    """Who gives these tokens: its URL, from which its introspection endpoint is discovered. An
    `iss` in its answers must be exactly this."""

    introspection_endpoint: str = ""
    """Where it is asked, if its metadata does not say so or is not to be read."""

    client_id: str
    """Who we are there."""

    client_secret: str = field(repr=False)
    """Our secret there, as `"${NAME}"`."""

    auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    """`client_secret_basic`, or `client_secret_post` for servers that want it in the form."""

    token_prefix: str = ""
    """How its tokens begin, such as `ptn_`: others are not shown to it. Needed where more than one
    issuer is asked; without it every token that names no other issuer is shown to this one."""

    audience: str = ""
    """Who its tokens must be meant for (`aud`). This or `clients` is needed; both must hold."""

    clients: frozenset[str] = frozenset()
    """The `client_id` of the applications whose tokens count, where the answer has no `aud`."""

    remember: Annotated[float, Within("0s", "5m")] = 30.0
    """How long an answer is believed before it is asked for again, and so how long a token may be
    good here after it was revoked there; never beyond its `exp`."""

    leeway: Annotated[float, Within("0s", "5m")] = 10.0
    """Seconds its clock may differ from ours."""

    subject: Literal["qualified", "raw"] = "qualified"
    """`qualified`: its people are `<caller>|<sub>` here. `raw`: they keep their `sub`."""

    onward: ClassVar[bool] = True
    """Its tokens may go on to upstreams that believe it, too."""

    def __post_init__(self) -> None:
        if not self.audience and not self.clients:
            raise ValueError(
                "audience: or clients is needed; without them any token of that issuer would do"
            )
        if not self.issuer:
            raise ValueError("issuer: must not be empty")
        name = "introspection_endpoint" if self.introspection_endpoint else "issuer"
        try:
            check_url(self.introspection_endpoint or self.issuer)
        except ValueError as exc:
            raise ValueError(f"{name}: tokens and a secret are sent there, so it {exc}") from None
        if not _PREFIX.fullmatch(self.token_prefix):
            raise ValueError("token_prefix: has characters that no token has")
        if self.token_prefix.startswith(KEY):
            raise ValueError(f"token_prefix: {KEY} is how keys of this server begin")
        if 0 < len(self.token_prefix) < SHORTEST_PREFIX:
            raise ValueError(f"token_prefix: has fewer than {SHORTEST_PREFIX} characters")
        try:
            self._credentials()
        except ValueError as exc:
            raise ValueError(f"client_secret: {exc}") from None

    def _credentials(self) -> Credentials:
        return Credentials(
            client_id=self.client_id, client_secret=self.client_secret, method=self.auth
        )

    def trusted(self, trusting: Trusting) -> "AskedIssuer":
        """The proof itself."""
        return AskedIssuer(settings=self, trusting=trusting)

    def question(self, token: str, endpoint: str) -> Flow[Answer]:
        """What the issuer says about a token at this endpoint (RFC 7662 §2)."""
        us = self._credentials()
        form = {"token": token, "token_type_hint": "access_token", **us.fields()}
        response = yield httpx2.Request(
            "POST",
            endpoint,
            headers={**us.header(), "Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        answer = json_object(response)
        if not isinstance(answer.get("active"), bool):
            raise RemoteError("the answer does not say whether the token is active", status=200)
        return answer

    def located(self) -> Flow[str]:
        """Where to ask."""
        if self.introspection_endpoint:
            return self.introspection_endpoint
        return (yield from discover(self.issuer)).need("introspection_endpoint")


@dataclass(slots=True, kw_only=True)
class AskedIssuer:
    """Believes what one issuer says about its own tokens."""

    settings: Introspection
    trusting: Trusting
    inquiries: Inquiries = field(init=False, repr=False)
    _expected: Expected = field(init=False, repr=False)
    _found: tuple[float, str] = field(default=_NOWHERE, init=False, repr=False)

    def __post_init__(self) -> None:
        settings, trusting = self.settings, self.trusting
        self._expected = Expected(
            issuer=settings.issuer,
            audience=settings.audience or None,
            leeway=settings.leeway,
            required=("exp", "sub", *(("client_id",) if settings.clients else ())),
        )
        self.inquiries = Inquiries(
            ask=self._asked,
            judge=self._judged,
            told=trusting.told,
            remember=settings.remember,
            clock=trusting.clock,
        )

    def recall(self, digest: bytes) -> Caller | None:
        """A token asked about a moment ago is believed for a while."""
        return self.inquiries.recall(digest)

    async def prove(self, token: str, digest: bytes) -> Caller | None:
        """Ask about a token that may be our issuer's; all others do not concern us."""
        if not self._may_be_theirs(token):
            return None
        return await self.inquiries.about(token, digest)

    async def close(self) -> None:
        """Give up every question under way."""
        await self.inquiries.close()

    def _may_be_theirs(self, token: str) -> bool:
        if len(token) > LONGEST or not _TOKEN.fullmatch(token):
            return False
        if token.startswith(KEY) or not token.startswith(self.settings.token_prefix):
            return False
        said = issuer_of(token)  # a JWT says whose it is, and need not be true to be told apart
        return said is None or said == self.settings.issuer

    async def _asked(self, token: str, left: float) -> Answer:
        http = self.trusting.http
        if http is None:
            raise RuntimeError("this proof has no way to its issuer")
        now = self.trusting.clock()
        at, endpoint = self._found
        try:
            if not at <= now < at + REDISCOVER:
                endpoint = await arun(self.settings.located(), http, deadline=left)
                self._found = now, endpoint
            question = self.settings.question(token, endpoint)
            return await arun(question, http, deadline=left, limit=LONGEST_ANSWER)
        except RemoteError as exc:
            if not exc.transient:
                self._found = _NOWHERE  # perhaps it moved
            raise

    def _judged(self, answer: Answer) -> Caller | Refused:
        if answer["active"] is not True:
            return Refused(self.trusting.told("its issuer says that it is not active"))
        claims = {name: it for name, it in answer.items() if name != "active"}
        claims.setdefault("iss", self.settings.issuer)  # RFC 7662 §2.2: optional
        try:
            self._expected.check(claims, now=self.trusting.clock())
            self._check_kind(claims)
            claims["scope"] = _scopes(claims.get("scope", ""))
            exp, raw = cast("float", claims["exp"]), self.settings.subject == "raw"
            said = MappingProxyType(claims)
            return self.trusting.caller(said, claims["sub"], expires_at=exp, raw=raw)
        except InvalidToken as exc:
            return Refused(self.trusting.told(exc), old=isinstance(exc, Expired))
        except InvalidGrant as exc:
            return Refused(exc.detail)

    def _check_kind(self, claims: Answer) -> None:
        """A refresh token is active, too, and is for nobody but its issuer (RFC 7662 §2.2)."""
        for name, known in _KINDS.items():
            said = claims.get(name, "")
            if name in claims and (not isinstance(said, str) or said.lower() not in known):
                raise InvalidToken(f"{name}: another kind of token", name)
        if self.settings.clients and claims["client_id"] not in self.settings.clients:
            raise InvalidToken("client_id: of another application", "client_id")


def _scopes(said: object) -> list[str]:
    """The scopes one by one, so that a rule can name one of them."""
    if not isinstance(said, str):
        raise InvalidToken("scope: not a string", "scope")
    return said.split()
