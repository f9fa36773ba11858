"""A token of a person's own account elsewhere, which they have connected for one app.

They agree to it once, in their browser (RFC 6749 §4.1, with PKCE, RFC 7636); from then on their
app gets fresh tokens for them, for as long as the other server allows it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import parse_qsl, urlencode, urlsplit

from tokenward.client.codes import S256, challenge, endless, is_endless, redeem, what_is_over
from tokenward.client.flows import TokenEndpoint
from tokenward.client.lasting import Lasting, refresh, revoke
from tokenward.oauth.errors import InteractionRequired
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import NOTHING, Scope
from tokenward.remote.discovery import Metadata, check_url, discover
from tokenward.remote.flow import Flow
from tokenward.server.connected import place_of
from tokenward.server.model import Authorization
from tokenward.server.registration import REMEMBERED, Registration

_OURS = frozenset(
    {
        *("response_type", "response_mode", "client_id", "redirect_uri", "scope", "state"),
        *("code_challenge", "code_challenge_method", "request", "request_uri"),
        *("audience", "resource"),
    }
)
"""Parameters of the question in the browser that nobody else may say (RFC 6749 §3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Registration):
    """``[tokens.<name>] upstream = "connection"``; raises ``ValueError`` for nonsense."""

    title: str = ""
    """What people call it, such as `Google Drive`; the host that they are sent to unless said."""

    authorization_endpoint: str = ""
    """Where people are sent to agree, where the issuer has no metadata that say so."""

    authorization_parameters: Mapping[str, str] = field(default_factory=dict)
    """What else they want to be told there: `{ access_type = "offline" }`."""

    authorization_issuer: str = ""
    """What that server calls itself (`iss`, RFC 9207), where it has no metadata: what comes back
    from the browser must say the same, if it says so at all."""

    offline_scope: Scope = NOTHING
    """Scopes that are asked for besides when somebody connects, such as `offline_access`: without
    them many servers give nothing that lasts."""

    revocation_endpoint: str = ""
    """Where we say that somebody has disconnected (RFC 7009), where the issuer has no metadata;
    where there is none, we only forget."""

    _metadata: dict[str, tuple[float, Metadata]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        Registration.__post_init__(self)
        if not self.client_id:
            raise ValueError("client_id is missing: people are told by it who wants to connect")
        if not (self.issuer or self.authorization_endpoint):
            raise ValueError("authorization_endpoint is missing: people are sent there to agree")
        for name in ("authorization_endpoint", "revocation_endpoint"):
            if url := getattr(self, name):
                try:
                    check_url(url)
                except ValueError as fault:
                    raise ValueError(f"{name} {fault}") from None
        if found := sorted(_OURS & self.authorization_parameters.keys()):
            raise ValueError(f"authorization_parameters: {found[0]} has its own meaning")

    @property
    def called(self) -> str:
        """What people call it."""
        return self.title or urlsplit(self.authorization_endpoint or self.issuer).netloc

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:  # noqa: ARG002
        """There is no token as long as nobody has connected anything."""
        raise InteractionRequired
        yield

    def shared_by(self, authorization: Authorization) -> Hashable:
        """The connection, and the scope."""
        return place_of(authorization), authorization.scope.tokens

    def asked_in_browser(
        self, scope: Scope, *, redirect_uri: str, state: str, verifier: str, now: float
    ) -> Flow[str]:
        """The address where a person is asked to agree (RFC 6749 §4.1.1, RFC 7636 §4.3)."""
        there = yield from self._known(now)
        # RFC 6749 §3.1: a query that the endpoint has is kept.
        parts = urlsplit(self.authorization_endpoint or there.need("authorization_endpoint"))
        said = {
            **dict(parse_qsl(parts.query, keep_blank_values=True)),
            **self.authorization_parameters,
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": str(scope | self.offline_scope),
            "state": state,
            "code_challenge": challenge(verifier),
            "code_challenge_method": S256,
            "audience": self.audience,
            "resource": self.resource,
        }
        query = urlencode([pair for pair in said.items() if pair[1]])
        return parts._replace(query=query).geturl()

    def fault_of_issuer(self, said: str | None, *, now: float) -> Flow[str]:
        """Why an answer is another server's than the one that was asked, ``""`` if it may be its.

        ``said`` is its ``iss``, ``None`` if it has none (RFC 9207 §2.4).
        """
        there = yield from self._known(now)
        known = self.authorization_issuer or there.issuer
        if said is None:
            return "it does not say who it is, and should" if there.says_iss else ""
        return "it is another server's" if known and said != known else ""

    def redeemed(self, code: str, *, redirect_uri: str, verifier: str, now: float) -> Flow[Lasting]:
        """What the person has agreed to."""
        ask = partial(redeem, code=code, redirect_uri=redirect_uri, verifier=verifier, now=now)
        return self._without_offline((yield from self.asked(ask, now=now)))

    @property
    def refresh_token(self) -> str:
        """None to begin with: each person connects an account of their own."""
        return ""

    def refreshed(self, refresh_token: str, scope: Scope, *, now: float) -> Flow[Lasting]:
        """A fresh token for whoever agreed."""
        if is_endless(refresh_token):
            yield from ()
            return endless(refresh_token, scope, now=now)
        ask = partial(
            refresh,
            refresh_token=refresh_token,
            scope=scope,
            audience=self.audience,
            resource=self.resource,
            now=now,
        )
        return self._without_offline((yield from self.asked(ask, now=now)))

    def revoked(self, refresh_token: str, *, now: float) -> Flow[bool]:
        """Tell them that it is over; whether there is anywhere to tell."""

        def ask(here: TokenEndpoint) -> Flow[bool]:
            there = replace(here, revocation_url=self.revocation_endpoint or here.revocation_url)
            token, hint = what_is_over(refresh_token)
            return revoke(there, token, hint=hint, now=now)

        return self.asked(ask, now=now)

    def _without_offline(self, given: Lasting) -> Lasting:
        """What lasts is for us: the scopes that bring it are none of the token's."""
        token = given.token
        if token is None or not token.scope & self.offline_scope:
            return given
        return replace(given, token=replace(token, scope=token.scope - self.offline_scope))

    def _known(self, now: float) -> Flow[Metadata]:
        """What the issuer says of itself, which is looked up once an hour; nothing if we have been
        told each place."""
        if not self.issuer:
            return Metadata(issuer="")
        at, found = self._metadata.get(self.issuer, (0.0, None))
        if found is None or not at <= now < at + REMEMBERED:
            found = yield from discover(self.issuer)
            self._metadata[self.issuer] = now, found
        return found
