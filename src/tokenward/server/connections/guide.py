"""The way from an app's question to a connection, step by step; each step is taken once.

    begin -> shown -> clicked (or cancelled) -> returned -> completed

Law of this module: what may fail without anybody's fault comes before what cannot be taken back,
so that a server that is away costs nobody their link.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tokenward.client.lasting import Lasting
from tokenward.clock import Clock
from tokenward.oauth.errors import (
    InvalidGrant,
    InvalidRequest,
    InvalidTarget,
    TemporarilyUnavailable,
)
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError, arun
from tokenward.server.connected import app_of, made_for
from tokenward.server.connections import Kept, Platform
from tokenward.server.connections.browsers import digest
from tokenward.server.connections.ends import (
    SentBack,
    ServerError,
    another_browser,
    another_server,
    gone,
    over,
    theirs,
)
from tokenward.server.connections.journeys import LIFETIMES, Journey, Journeys
from tokenward.server.model import Authorization, Grant
from tokenward.server.offline import Whose
from tokenward.server.stores import StoreUnavailable

PATH = "/connections"
LONGEST_STATE = 1_024
LONGEST_CODE = 4_096
LONGEST_NAME = 100

_CALLED = ("name", "preferred_username", "email")


class Begun(NamedTuple):
    """What the app sends its person to."""

    url: str
    expires_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app that may connect accounts of its people, or an issuer whose apps may."""

    name: str
    """What people call it."""

    returns: tuple[str, ...]
    """Where browsers are sent back to; exactly these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """Leads people from one step to the next."""

    origin: str
    """Where browsers reach us, such as ``https://tokens.example.com``."""

    platforms: Mapping[str, Platform]
    """By the name of the token."""

    apps: Mapping[str, App]
    """By ``client_id``, and for those who have none by the caller that vouches for them."""

    journeys: Journeys
    kept: Kept
    clock: Clock

    # ── the app begins ──────────────────────────────────────────────────────────────────────────

    async def begin(
        self, authorization: Authorization, *, redirect_uri: str = "", state: str = ""
    ) -> Begun:
        """A link for the person who is to connect; raises ``OAuthError``.

        The address to return to must be one of those that are configured for this app, to the
        letter (RFC 9700 §2.1); it may be left out where there is one only.
        """
        grant, token = authorization.grant, authorization.token
        if token not in self.platforms:
            raise InvalidTarget("nobody connects an account for this token")
        app = self.apps.get(grant.client.id or grant.caller.name)
        returns = () if app is None else app.returns
        if app is None or not returns:
            raise InvalidRequest(
                "there is no address to return to for this app",
                detail=f"redirect_uris: callers.{grant.client.name or grant.caller.name} has none",
            )
        if not redirect_uri and len(returns) == 1:
            redirect_uri = returns[0]
        if redirect_uri not in returns:
            raise InvalidRequest(
                "redirect_uri: is none of those that are configured for this app, to the letter"
            )
        if len(state) > LONGEST_STATE or not state.isprintable():
            raise InvalidRequest("state: is too long, or has control characters")
        journey = Journey(
            token=token,
            subject=grant.caller.subject,
            by=app_of(grant),
            person=called(grant),
            app=app.name,
            client=grant.client.id or made_for(grant)[:LONGEST_NAME],
            scope=str(authorization.scope),
            redirect_uri=redirect_uri,
            state=state,
        )
        link = await self.journeys.put("link", journey)
        return Begun(f"{self.origin}{PATH}/{link}", LIFETIMES["link"])

    # ── the person, in the browser ──────────────────────────────────────────────────────────────

    async def shown(self, link: str) -> Journey:
        """What somebody is asked who opens a link; raises ``Astray``."""
        journey = await self.journeys.look("link", link)
        if journey is None or journey.token not in self.platforms:
            raise gone()
        return journey

    async def clicked(self, link: str, browser: str) -> tuple[Journey, str]:
        """Where to go on: the other server; raises ``OAuthError``, and nothing has changed then."""
        journey = await self.shown(link)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        there = self.platforms[journey.token]
        flow = there.upstream.asked_in_browser(
            Scope.parse(journey.scope),
            redirect_uri=self.callback(journey.token),
            state=state,
            verifier=verifier,
            now=self.clock(),
        )
        try:
            url = await arun(flow, there.http)
        except RemoteError as fault:
            raise TemporarilyUnavailable(detail=f"{journey.token}: {fault.reason}") from None
        journey = replace(journey, browser=digest(browser), verifier=verifier)
        # Kept before the link is used up; a state that nobody has been told is worth nothing.
        await self.journeys.put("state", journey, secret=state)
        if await self.journeys.take("link", link) is None:
            raise gone()
        return journey, url

    async def cancelled(self, link: str) -> Journey:
        """Somebody would rather not; the link is used up. Raises ``Astray``."""
        journey = await self.journeys.take("link", link)
        if journey is None:
            raise gone()
        return journey

    async def returned(
        self, token: str, said: Sequence[tuple[str, str]], browser: str
    ) -> tuple[Journey, str]:
        """The code for the app, when somebody comes back from the other server of this token.

        Raises ``Astray`` where nobody can be sent back, and ``SentBack`` where they can.
        """
        answer = dict(said)
        if len(answer) != len(said):  # RFC 6749 §3.1
            raise over("a parameter came twice")
        state = answer.get("state", "")
        journey = await self.journeys.look("state", state)
        if journey is None:
            raise over("no such state: never given, used, or too old")
        if journey.browser != digest(browser):
            raise another_browser()
        if journey.token != token:  # each server has an address of its own (RFC 9700 §4.4.2.2)
            raise another_server(f"{token} answered what {journey.token} was asked")
        there = self.platforms[token]
        flow = there.upstream.fault_of_issuer(answer.get("iss"), now=self.clock())
        try:
            fault = await arun(flow, there.http)
        except RemoteError as exc:
            raise TemporarilyUnavailable(detail=f"{token}: {exc.reason}") from None
        if fault:
            raise another_server(f"{token}: iss: {fault}")
        taken = await self.journeys.take("state", state)
        if taken is None:
            raise over("another request was faster with the same state")
        given = await self._given(taken, answer)
        try:
            found = replace(taken, given=_written(given), verifier="")
            return taken, await self.journeys.put("code", found)
        except StoreUnavailable as away:
            cause = TemporarilyUnavailable(detail=away.detail)
            raise SentBack(taken, cause) from None

    async def _given(self, journey: Journey, answer: Mapping[str, str]) -> Lasting:
        """What the other server gives for what it sent the browser back with."""
        if error := answer.get("error", ""):
            raise SentBack(journey, theirs(error))
        code = answer.get("code", "")
        if not code or len(code) > LONGEST_CODE:
            raise SentBack(journey, ServerError(detail="neither a code nor an error came back"))
        there = self.platforms[journey.token]
        flow = there.upstream.redeemed(
            code,
            redirect_uri=self.callback(journey.token),
            verifier=journey.verifier,
            now=self.clock(),
        )
        try:
            given = await arun(flow, there.http)
        except RemoteError as exc:
            detail = f"{journey.token}: {exc.reason}"
            cause = TemporarilyUnavailable if exc.transient else ServerError
            raise SentBack(journey, cause(detail=detail)) from None
        if not given.refresh_token:
            said = given.fault or "there was nothing that lasts (no refresh token)"
            raise SentBack(journey, ServerError(detail=f"{journey.token}: {said}"))
        if given.token is not None and not given.token.scope:  # RFC 6749 §5.1: as it was asked
            token = replace(given.token, scope=Scope.parse(journey.scope))
            given = replace(given, token=token)
        return given

    # ── the app again ───────────────────────────────────────────────────────────────────────────

    async def completed(self, grant: Grant, code: str) -> Journey:
        """What becomes of a code that the app shows with its person's token: a connection.

        Raises ``InvalidGrant``. A code that anybody shows for somebody else, or another app, is
        worth nothing from then on: whoever agreed was not the one who began.
        """
        taken = await self.journeys.take("code", code)
        if taken is None or taken.token not in self.platforms:
            raise InvalidGrant("code: was never given, was used, or is too old")
        if Whose.of(grant, taken.token) != taken.whose:
            raise InvalidGrant(
                "code: another person, or another app, began this: nothing was connected",
                detail=f"{taken.subject!r} began it, for {taken.app!r}",
            )
        given, scope = _read(taken.given), Scope.parse(taken.scope)
        named = self.platforms[taken.token].names_scopes
        if named and given.token is not None:
            # They may have agreed to less, or before to more, which nobody has shown them here.
            scope = scope & given.token.scope or scope
        try:
            await self.kept.put(taken.whose, given, scope=scope)
        except StoreUnavailable:
            await self.journeys.put("code", taken, secret=code)  # if it is back by now
            raise
        return replace(taken, scope=str(scope))

    def callback(self, token: str) -> str:
        """Where the other server of this token sends browsers back to; one for each."""
        return f"{self.origin}{PATH}/callback/{token}"


def called(grant: Grant) -> str:
    """How to call a person so that they recognise themselves, by what their token says."""
    claims = grant.caller.claims
    found = (claims.get(name) for name in _CALLED)
    said = [one for one in found if isinstance(one, str) and one.strip() and one.isprintable()]
    text = " - ".join(dict.fromkeys(said)) or grant.caller.subject
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "..."


def _written(given: Lasting) -> dict[str, object]:
    token = given.token
    said: dict[str, object] = {"refresh_token": given.refresh_token}
    if token is not None:
        said |= {"value": token.value, "expires_at": token.expires_at, "scope": str(token.scope)}
    return said


def _read(said: Mapping[str, object]) -> Lasting:
    token = None
    if "value" in said:
        token = AccessToken(
            value=str(said["value"]),
            expires_at=float(str(said["expires_at"])),
            scope=Scope.parse(str(said["scope"])),
        )
    return Lasting(token=token, refresh_token=str(said["refresh_token"]))
