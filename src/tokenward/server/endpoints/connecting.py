"""What people see while they connect an account: the link's page, the click, and the way back.

Nothing of this can be done by a page elsewhere: a link does nothing before it is clicked on our
page, in a browser that has our cookie, and what comes back counts in that browser only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar

from tokenward.oauth import forms
from tokenward.oauth.errors import AccessDenied, OAuthError, TemporarilyUnavailable
from tokenward.oauth.scope import Scope
from tokenward.server.audit import Audit, Event
from tokenward.server.connections import pages
from tokenward.server.connections.browsers import Browsers
from tokenward.server.connections.ends import Astray, SentBack, back, elsewhere, gone, refused
from tokenward.server.connections.guide import Guide
from tokenward.server.connections.journeys import Journey
from tokenward.server.endpoints import NEVER
from tokenward.server.endpoints.token import form
from tokenward.server.http import Answer, Received

LONGEST_LINK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEndpoint:
    """``/connections/{link}``: what is asked, and the click."""

    guide: Guide = field(repr=False)
    browsers: Browsers
    audit: Audit
    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:
        """A page."""
        link = received.path.rpartition("/")[2]
        if len(link) > LONGEST_LINK:
            return _page(gone())
        if received.method == "POST":
            return await _in_words(lambda: self._click(received, link))
        return await _in_words(lambda: self._show(received, link))

    async def _show(self, received: Received, link: str) -> Answer:
        """Look as often as you like: only a click uses it up, so no mail scanner does."""
        journey = await self.guide.shown(link)
        browser = self.browsers.known(received) or self.browsers.new()
        platform = self.guide.platforms[journey.token]
        page = pages.asked(
            journey,
            platform=platform.upstream.called,
            scopes={one: platform.scopes.get(one, "") for one in Scope.parse(journey.scope)},
            mark=self.browsers.mark(browser, link),
        )
        return pages.answer(page, self.browsers.cookie(browser))

    async def _click(self, received: Received, link: str) -> Answer:
        async with self.audit.event("connection_open", received) as event:
            said = dict(form(received))
            browser = self.browsers.known(received)
            if not self.browsers.is_ours(received, browser, link, said.get("mark", "")):
                raise elsewhere()
            if said.get("answer") == "connect":
                journey, url = await self.guide.clicked(link, browser)
                event.known |= _known(journey)
                to = self.guide.platforms[journey.token].upstream.called
            else:
                journey = await self.guide.cancelled(link)
                event.known |= _known(journey) | {"answer": "cancel"}
                cause = AccessDenied("the person did not agree")
                url, to = refused(SentBack(journey, cause)), journey.app
        return pages.answer(pages.onward(url, to=to))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEndpoint:
    """``/connections/callback/{token}``: back from the other server, with its answer."""

    token: str
    guide: Guide = field(repr=False)
    browsers: Browsers
    audit: Audit
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = NEVER

    async def answer(self, received: Received) -> Answer:
        """On to the app, or a page."""
        return await _in_words(lambda: self._return(received))

    async def _return(self, received: Received) -> Answer:
        try:
            async with self.audit.event("connection_return", received) as event:
                event.known["token"] = self.token
                journey, code = await self._came(received, event)
        except SentBack as end:
            return _on(refused(end))
        return _on(back(journey, connection_code=code))

    async def _came(self, received: Received, event: Event) -> tuple[Journey, str]:
        said, browser = forms.parse(received.query), self.browsers.known(received)
        try:
            journey, code = await self.guide.returned(self.token, said, browser)
        except SentBack as end:
            event.known |= _known(end.journey)
            raise
        event.known |= _known(journey)
        return journey, code


async def _in_words(answer: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer, and what goes wrong on a page, for it is people who come here."""
    try:
        return await answer()
    except OAuthError as exc:
        return _page(exc)


def _page(error: OAuthError) -> Answer:
    match error:
        case Astray():
            title = error.title
        case TemporarilyUnavailable():
            title = "Not just now"
        case _:
            title = "That did not work"
    text = error.description
    if isinstance(error, TemporarilyUnavailable):
        text = "The other server, or ours, cannot be reached. Nothing is lost: try again soon."
    return pages.answer(pages.ended(title, text), status=error.status)


def _on(url: str) -> Answer:
    """A redirect to an address of the app's, which is one of those that are configured."""
    return Answer(302, (*pages.HEADERS, (b"location", url.encode())), b"")


def _known(journey: Journey) -> dict[str, str]:
    said = {"token": journey.token, "subject": journey.subject, "scope": journey.scope}
    if client := journey.by[1]:
        said["client"] = client
    return said | {"return_to": pages.place_of(journey.redirect_uri)}
