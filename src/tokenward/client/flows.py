"""The conversations that end in a token: what a token endpoint is asked, and what its answer means.

Law of this module: it does no I/O, remembers nothing, and is told what time it is. The same flow
serves threads, tasks, and the server when it is itself somebody's client.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self
from urllib.parse import quote_plus, urlencode

import httpx2

from tokenward.client.credentials import ANONYMOUS, Credentials, secure
from tokenward.client.errors import TokenError
from tokenward.jose.jws import load_object
from tokenward.oauth.messages import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    JWT,
    JWT_BEARER,
    LONGEST_TOKEN,
    TOKEN_EXCHANGE,
    AccessToken,
)
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.remote.discovery import discover
from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow

Several = str | Iterable[str]
"""One audience or resource, or several (RFC 8693 §2.1); ``""`` for none."""

LONGEST_DESCRIPTION = 300

# RFC 6749 §5.2: values of error_description must not include characters outside
#   %x20-21 / %x23-5B / %x5D-7E
_UNSPEAKABLE = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]+")


class Granted(NamedTuple):
    """An access token, and what gets the next one, if there is anything."""

    token: AccessToken
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"Granted({self.token!r})"  # and no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """Where tokens are asked for, and who asks.

    Either its ``url`` or the ``issuer`` whose metadata names it. Raises ``InsecureURL`` (a
    ``ValueError``) for an address that must not be told a secret; ``allow_http`` lets a ``url``
    pass that is plain http and not loopback, but never an issuer.

    Every conversation is given ``now``, in seconds since the epoch: the time just before it is
    carried, from which a token's life is counted, so that a slow answer shortens it and never the
    reverse. It returns an ``AccessToken``, and raises ``TokenError``, or the ``RemoteError`` that
    its driver throws in.
    """

    url: str = ""
    issuer: str = ""
    credentials: Credentials = ANONYMOUS
    allow_http: bool = False
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """What else this server wants to be told with every question, and no standard has."""

    challenge_url: str = ""
    """Where we are asked whose key ours is; known once the issuer's metadata is."""

    def __post_init__(self) -> None:
        if not self.url and not self.issuer:
            raise ValueError("a token endpoint needs a url or an issuer")
        if self.url:
            secure(self.url, allow_http=self.allow_http)
        if self.issuer:
            secure(self.issuer)

    @classmethod
    def at(
        cls, address: str, credentials: Credentials = ANONYMOUS, *, allow_http: bool = False
    ) -> Self:
        """Make one from an address of either kind.

        It is taken for the token endpoint itself if ``token`` occurs in its last segment
        (``/connect/token``, ``/oauth/token``, ``/as/token.oauth2``), else for an issuer.
        """
        is_endpoint = "token" in httpx2.URL(address).path.rpartition("/")[2].lower()
        url, issuer = (address, "") if is_endpoint else ("", address)
        return cls(url=url, issuer=issuer, credentials=credentials, allow_http=allow_http)

    def located(self) -> Flow[Self]:
        """The same endpoint with its URL, which the issuer's metadata tells (RFC 8414 §3)."""
        if self.url:
            return self
        metadata = yield from discover(self.issuer)
        url, challenge_url = metadata.need("token_endpoint"), metadata.key_challenge_endpoint
        return replace(self, url=url, challenge_url=challenge_url)

    def client_credentials(
        self, scope: Scope | str = "", *, audience: Several = "", resource: Several = "", now: float
    ) -> Flow[AccessToken]:
        """A token of our own (RFC 6749 §4.4)."""
        form = [("grant_type", CLIENT_CREDENTIALS), *_targets(audience, resource)]
        return self._ask(form, _scope(scope), now)

    def exchange(
        self,
        subject_token: str,
        *,
        subject_token_type: str = ACCESS_TOKEN,
        actor_token: str = "",
        actor_token_type: str = "",
        scope: Scope | str = "",
        audience: Several = "",
        resource: Several = "",
        requested_token_type: str = ACCESS_TOKEN,
        now: float,
    ) -> Flow[AccessToken]:
        """A token for somebody else's token (RFC 8693 §2.1).

        An actor's token is sent with its type, an access token unless said otherwise. What comes
        back must be an access token, a JWT, or what was requested (§2.2.1).
        """
        form = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", subject_token),
            ("subject_token_type", subject_token_type),
            ("requested_token_type", requested_token_type),
            *_targets(audience, resource),
        ]
        if actor_token:
            form.append(("actor_token", actor_token))
            form.append(("actor_token_type", actor_token_type or ACCESS_TOKEN))
        usable = frozenset({ACCESS_TOKEN, JWT, requested_token_type})
        return self._ask(form, _scope(scope), now, usable)

    def jwt_bearer(
        self,
        assertion: str,
        *,
        scope: Scope | str = "",
        audience: Several = "",
        resource: Several = "",
        now: float,
    ) -> Flow[AccessToken]:
        """A token for a signed assertion (RFC 7523 §2.1)."""
        form = [
            ("grant_type", JWT_BEARER),
            ("assertion", assertion),
            *_targets(audience, resource),
        ]
        return self._ask(form, _scope(scope), now)

    def code(self, code: str, *, redirect_uri: str, verifier: str, now: float) -> Flow[Granted]:
        """What a code stands for (RFC 6749 §4.1.3), with the proof that we asked (RFC 7636 §4.5).

        A scope that the answer does not tell is whatever was asked for at the beginning.
        """
        form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ]
        return self._granted(form, NOTHING, now)

    def refresh(self, refresh_token: str, *, scope: Scope | str = "", now: float) -> Flow[Granted]:
        """A token for a grant that lasts (RFC 6749 §6); perhaps the next refresh token with it."""
        form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)]
        return self._granted(form, _scope(scope), now)

    def _granted(self, form: list[tuple[str, str]], scope: Scope, now: float) -> Flow[Granted]:
        here, answer = yield from self._answer(form, scope, now)
        try:
            token = AccessToken.parse(answer, now=now, asked=scope)
            return Granted(token, _refresh_token(answer))
        except ValueError as fault:
            raise here.unusable(fault) from None

    def _ask(
        self,
        form: list[tuple[str, str]],
        scope: Scope,
        now: float,
        usable: frozenset[str] = frozenset(),
    ) -> Flow[AccessToken]:
        here, answer = yield from self._answer(form, scope, now)
        try:
            token = AccessToken.parse(answer, now=now, asked=scope)
            return _as_issued(token, answer.get("issued_token_type"), usable)
        except ValueError as fault:
            raise here.unusable(fault) from None

    def unusable(self, fault: ValueError) -> TokenError:
        """What is to be said of an answer that is no token."""
        reason = f"{_host(self.url)} answered 200, but with no usable token: {fault}"
        return TokenError(reason, status=200)

    def _answer(
        self, form: list[tuple[str, str]], scope: Scope, now: float
    ) -> Flow[tuple[Self, dict[str, object]]]:
        """Where it was asked, and what it said."""
        here = yield from self.located()
        header = self.credentials.header()
        ours = self.credentials.fields(self.issuer or here.url, now=now)
        form = [*form, ("scope", str(scope)), *ours.items(), *self.parameters]
        response = yield httpx2.Request(
            "POST",
            here.url,
            headers={
                **header,
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            content=urlencode([pair for pair in form if pair[1]]).encode(),
        )
        try:
            return here, json_object(response)
        except RemoteError as fault:
            hidden = [value for name, value in form if name in _SECRETS]
            hidden += [self.credentials.client_secret, *header.values()]
            if _repeats(fault.code, hidden):
                fault.code = ""
            raise TokenError.of(fault, description=_description(response, hidden)) from None


_SECRETS = frozenset(
    {
        *("subject_token", "actor_token", "assertion", "client_assertion"),
        *("code", "code_verifier", "refresh_token"),
    }
)


def _refresh_token(answer: Mapping[str, object]) -> str:
    """The refresh token of an answer, ``""`` if it has none; ``ValueError`` for nonsense."""
    found = answer.get("refresh_token") or ""
    if not isinstance(found, str) or len(found) > LONGEST_TOKEN or not found.isprintable():
        raise ValueError("refresh_token is malformed")
    return found


def _scope(scope: Scope | str) -> Scope:
    return scope if isinstance(scope, Scope) else Scope.parse(scope)


def _targets(audience: Several, resource: Several) -> list[tuple[str, str]]:
    audiences = [audience] if isinstance(audience, str) else list(audience)
    resources = [resource] if isinstance(resource, str) else list(resource)
    return [("audience", one) for one in audiences] + [("resource", one) for one in resources]


def _as_issued(token: AccessToken, issued: object, usable: frozenset[str]) -> AccessToken:
    """The token under the name it was issued by (RFC 8693 §2.2.1); only an exchange asks for it."""
    if not usable or issued is None:
        return token
    if not isinstance(issued, str) or issued not in usable:
        raise ValueError("issued_token_type is not what was asked for")
    return replace(token, types=frozenset({issued}))


def _description(response: httpx2.Response, hidden: Iterable[str]) -> str:
    """The server's own words, made safe to show to the developer of the client."""
    try:
        said = load_object(response.content).get("error_description", "")
    except ValueError:
        return ""
    if not isinstance(said, str) or _repeats(said, hidden):
        return ""  # whoever repeats what we sent has nothing to say that is worth the risk
    return _UNSPEAKABLE.sub("'", said[:LONGEST_DESCRIPTION]).strip()


def _repeats(said: str, hidden: Iterable[str]) -> bool:
    """Whether something secret that was sent is in it."""
    bare = [secret.removeprefix("Basic ") for secret in hidden if secret]
    return any(secret in said or quote_plus(secret) in said for secret in bare)


def _host(url: str) -> str:
    return httpx2.URL(url).host
