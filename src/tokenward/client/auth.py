"""A token with every request: ``httpx2.Client(auth=TokenAuth.client_credentials(...))``.

Law of this module: a token goes where the request was meant to go, over https, and nowhere else;
it is in no ``repr`` and no error; nothing is locked while a request is under way.
"""

import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Self, TypedDict, Unpack

import httpx2

from tokenward.client.asking import Asker
from tokenward.client.cache import SHARED, Fetch, TokenCache
from tokenward.client.credentials import InsecureURL, Method, secure
from tokenward.client.disk import NOWHERE, Keep
from tokenward.client.environment import token_endpoint
from tokenward.client.errors import TokenError
from tokenward.client.flows import Several, TokenEndpoint
from tokenward.jose.keys import SigningKey
from tokenward.oauth.messages import ACCESS_TOKEN, AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import open_client
from tokenward.remote.flow import Flow

SubjectToken = str | Callable[[], str]
"""A token, or what gives it. It is called for every request, in the caller's thread or task, so
that it may depend on whose request this is; it should remember what is slow to get."""

Wanted = partial[Flow[AccessToken]]
"""A conversation of ``TokenEndpoint`` with all that will be said in it, but for the time."""


class Options(TypedDict, total=False):
    """What every way to a token has in common."""

    method: Method
    """How the client introduces itself; ``client_secret_basic`` unless said otherwise."""

    key: SigningKey | str | bytes
    """A private key, or its PEM, in the secret's place: then the method is ``private_key_jwt``."""

    only_to: Iterable[str]
    """Addresses whose origins may see the token; unless said otherwise, whatever is requested."""

    allow_http: bool
    """Let secrets and tokens go over plain http to other machines; for closed networks."""

    deadline: float
    """Seconds for a token, all tries and pauses together; 10 unless said otherwise."""

    cache: TokenCache
    """Where tokens are kept; unless said otherwise, the whole process shares one."""

    disk: Keep
    """Where they outlive the process, such as a ``DiskCache``; unless said otherwise, nowhere."""

    connect: Callable[[], httpx2.Client]
    """Opens the HTTP client that asks for tokens, for example one that goes through a proxy. Its
    own timeouts count for each step besides the deadline for all of them."""


class TokenAuth(httpx2.Auth):
    """Sends every request with a token that is still good; for sync and async clients alike.

    Everybody in the process who asks the same endpoint as the same client for the same thing
    shares one token, and one question for the next one. A request answered with 401 is sent once
    more with another token, unless its body is a stream that cannot be sent twice.

    Over plain http to another machine, or to an origin that ``only_to`` does not name, nothing is
    sent: ``InsecureURL``. Nor is it when there is no token: ``TokenError`` says why. When a
    redirect leads to another origin, the token stays behind.
    """

    def __init__(
        self, endpoint: TokenEndpoint, wanted: Callable[[], Wanted], options: Options
    ) -> None:
        deadline = options.get("deadline", 10.0)
        connect = options.get("connect", open_client)
        self._cache = options.get("cache", SHARED)
        self._disk = options.get("disk", NOWHERE)
        self._asker = Asker(endpoint, deadline=deadline, connect=connect, clock=self._cache.clock)
        self._patience = deadline + 1.0  # what the asker has to say is better than "no answer"
        self._wanted = wanted
        self._allow_http = options.get("allow_http", False)
        self._origins = frozenset(httpx2.URL(url).origin for url in options.get("only_to", ()))

    @classmethod
    def client_credentials(
        cls,
        issuer_or_token_url: str | TokenEndpoint = "",
        client_id: str = "",
        client_secret: str = "",
        *,
        scope: str = "",
        audience: Several = "",
        resource: Several = "",
        **options: Unpack[Options],
    ) -> Self:
        """Tokens of the program's own (RFC 6749 §4.4).

        What is not given comes from TOKENWARD_ISSUER, TOKENWARD_CLIENT_ID and
        TOKENWARD_CLIENT_SECRET. Raises ``ValueError`` for what is missing or cannot be.
        """
        wanted = Wanted(
            TokenEndpoint.client_credentials,
            scope=str(Scope.parse(scope)),
            audience=as_tuple(audience),
            resource=as_tuple(resource),
        )
        endpoint = endpoint_of(issuer_or_token_url, client_id, client_secret, options)
        return cls(endpoint, lambda: wanted, options)

    @classmethod
    def exchange(
        cls,
        issuer_or_token_url: str | TokenEndpoint = "",
        *,
        subject_token: SubjectToken,
        subject_token_type: str = ACCESS_TOKEN,
        actor_token: SubjectToken = "",
        actor_token_type: str = "",
        scope: str = "",
        audience: Several = "",
        resource: Several = "",
        client_id: str = "",
        client_secret: str = "",
        **options: Unpack[Options],
    ) -> Self:
        """Tokens for somebody's token (RFC 8693 §2.1); each subject token has its own.

        Without a client, here or in the environment, it is the subject token alone that proves
        who asks. Raises ``ValueError`` as above.
        """
        if not subject_token:
            raise ValueError("subject_token is empty")
        scope = str(Scope.parse(scope))
        audience, resource = as_tuple(audience), as_tuple(resource)

        def wanted() -> Wanted:
            subject, actor = _given(subject_token), _given(actor_token)
            if not subject or (callable(actor_token) and not actor):
                raise TokenError("there is no token to exchange: the one given is empty")
            return Wanted(
                TokenEndpoint.exchange,
                subject_token=subject,
                subject_token_type=subject_token_type,
                actor_token=actor,
                actor_token_type=actor_token_type,
                scope=scope,
                audience=audience,
                resource=resource,
            )

        endpoint = endpoint_of(
            issuer_or_token_url, client_id, client_secret, options, needs_client=False
        )
        return cls(endpoint, wanted, options)

    def __repr__(self) -> str:
        endpoint = self._asker.endpoint
        return (
            f"<TokenAuth {endpoint.credentials.client_id!r} at {endpoint.issuer or endpoint.url}>"
        )

    def token(self) -> AccessToken:
        """A token that is good for a while; raises ``TokenError``. Waits at most the deadline."""
        return self._get(*self._asked())

    async def atoken(self) -> AccessToken:
        """As ``token``, for tasks."""
        return await self._aget(*self._asked())

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send with a token, and once more with another one if it is refused."""
        self._check(request)
        key, wanted = self._asked()
        token = self._get(key, wanted)
        response = yield _bearing(request, token)
        if self._may_try_another(response, request, key, token):
            another = self._get(key, wanted)
            if another.value != token.value:
                yield _bearing(request, another)

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """As above, waiting the other way."""
        self._check(request)
        key, wanted = self._asked()
        token = await self._aget(key, wanted)
        response = yield _bearing(request, token)
        if self._may_try_another(response, request, key, token):
            another = await self._aget(key, wanted)
            if another.value != token.value:
                yield _bearing(request, another)

    def _check(self, request: httpx2.Request) -> None:
        secure(request.url, allow_http=self._allow_http)
        if self._origins and request.url.origin not in self._origins:
            raise InsecureURL(f"this token is not for {request.url.host}")

    def _may_try_another(
        self, response: httpx2.Response, request: httpx2.Request, key: str, token: AccessToken
    ) -> bool:
        """Drop a token that was refused; true if another one may help, here and now."""
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return False
        if response.request.url.origin != request.url.origin:
            return False  # redirected to somebody who never saw the token
        self._disk.refuse(key, token)
        return self._cache.refuse(key, token) and _can_be_sent_again(request)

    def _asked(self) -> tuple[str, Wanted]:
        wanted = self._wanted()
        return _key(self._asker.endpoint, wanted), wanted

    def _get(self, key: str, wanted: Wanted) -> AccessToken:
        return self._cache.get(key, self._fetch(key, wanted), patience=self._patience)

    async def _aget(self, key: str, wanted: Wanted) -> AccessToken:
        return await self._cache.aget(key, self._fetch(key, wanted), patience=self._patience)

    def _fetch(self, key: str, wanted: Wanted) -> Fetch:
        return partial(self._disk.get, key, partial(self._asker.ask, wanted))


def endpoint_of(
    address: str | TokenEndpoint,
    client_id: str,
    client_secret: str,
    options: Options,
    *,
    needs_client: bool = True,
) -> TokenEndpoint:
    if isinstance(address, TokenEndpoint):
        if client_id or client_secret or "key" in options:
            raise ValueError("a TokenEndpoint has its own credentials; give no others")
        return address
    return token_endpoint(
        address,
        client_id,
        client_secret,
        method=options.get("method", "client_secret_basic"),
        key=options.get("key"),
        allow_http=options.get("allow_http", False),
        needs_client=needs_client,
    )


def _given(token: SubjectToken) -> str:
    return str(token() if callable(token) else token)


def as_tuple(several: Several) -> tuple[str, ...]:
    return (several,) if isinstance(several, str) else tuple(several)


def _key(endpoint: TokenEndpoint, wanted: Wanted) -> str:
    """What was asked, by whom and of whom, in full; a hash, because secrets are part of it."""
    who = endpoint.credentials
    key = "" if who.key is None else who.key.verifying_key().thumbprint
    parts = [
        [endpoint.url, endpoint.issuer, who.client_id, who.client_secret, who.method, key, who.aud],
        [wanted.func.__name__, wanted.keywords, endpoint.parameters],
    ]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _bearing(request: httpx2.Request, token: AccessToken) -> httpx2.Request:
    request.headers["Authorization"] = f"Bearer {token.value}"  # RFC 6750 §2.1
    return request


def _can_be_sent_again(request: httpx2.Request) -> bool:
    """Whether the whole body is at hand; what was read from a stream is gone."""
    try:
        return request.content is not None
    except httpx2.RequestNotRead:
        return False
