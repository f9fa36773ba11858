"""The conversations that end in a token: what a token endpoint is asked, and what its answer means.

Law of this module: it does no I/O, remembers nothing, and is told what time it is. The same flow
serves threads, tasks, and the server when it is itself somebody's client.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Self
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
    TOKEN_EXCHANGE,
    AccessToken,
)
from tokenward.oauth.scope import Scope
from tokenward.remote.discovery import discover
from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow

Several = str | Iterable[str]
"""One audience or resource, or several (RFC 8693 §2.1); ``""`` for none."""

LONGEST_DESCRIPTION = 300

# RFC 6749 §5.2: values of error_description must not include characters outside
#   %x20-21 / %x23-5B / %x5D-7E
_UNSPEAKABLE = re.compile(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]+")


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

    revocation_url: str = ""
    """Where tokens are revoked (RFC 7009); known once the issuer's metadata is."""

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
        return replace(
            self,
            url=metadata.need("token_endpoint"),
            challenge_url=metadata.key_challenge_endpoint,
            revocation_url=self.revocation_url or metadata.revocation_endpoint,
        )

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

    def _ask(
        self,
        form: list[tuple[str, str]],
        scope: Scope,
        now: float,
        usable: frozenset[str] = frozenset(),
    ) -> Flow[AccessToken]:
        here = yield from self.located()
        answer = yield from here.answered([*form, ("scope", str(scope))], now=now)
        try:
            token = AccessToken.parse(answer, now=now, asked=scope)
            return _as_issued(token, answer.get("issued_token_type"), usable)
        except ValueError as fault:
            raise TokenError(here.unusable(fault), status=200) from None

    def answered(
        self, form: list[tuple[str, str]], *, to: str = "", now: float
    ) -> Flow[dict[str, object]]:
        """The JSON object that answers this form, in which we say who we are; ``TokenError``
        instead. ``to``: another endpoint of the same server than the token endpoint."""
        header = self.credentials.header()
        ours = self.credentials.fields(self.issuer or self.url, now=now)
        form = [*form, *ours.items(), *self.parameters]
        response = yield httpx2.Request(
            "POST",
            to or self.url,
            headers={
                **header,
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            content=urlencode([pair for pair in form if pair[1]]).encode(),
        )
        if to and response.status_code == HTTPStatus.OK:
            return {}  # where no token comes from, nobody has to say anything (RFC 7009 §2.2)
        try:
            return json_object(response)
        except RemoteError as fault:
            hidden = [value for name, value in form if name in _SECRETS]
            hidden += [self.credentials.client_secret, *header.values()]
            if _repeats(fault.code, hidden):
                fault.code = ""
            raise TokenError.of(fault, description=_description(response, hidden)) from None

    def unusable(self, fault: ValueError) -> str:
        """What there is to say about an answer that is no token."""
        return f"{httpx2.URL(self.url).host} answered 200, but with no usable token: {fault}"


_SECRETS = frozenset(
    {"subject_token", "actor_token", "assertion", "client_assertion", "refresh_token", "token"}
    | {"code", "code_verifier"}
)


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
