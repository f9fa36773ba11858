"""How the way to a connection can end before there is one: on a page, or back at the app.

Whoever cannot be sent back to the app, because nobody knows where they came from or they are not
the one who began, gets a page that says what to do. Everybody else goes back, and the app hears
the code of the error (RFC 6749 §4.1.2.1).
"""

from urllib.parse import urlencode, urlsplit

from tokenward.oauth.errors import (
    AccessDenied,
    InvalidRequest,
    OAuthError,
    TemporarilyUnavailable,
)
from tokenward.server.connections.journeys import Journey


class Astray(InvalidRequest):
    """A page says what to do now; nothing has changed by it."""

    def __init__(self, title: str, text: str, *, status: int = 400, detail: str = "") -> None:
        super().__init__(text, detail=detail or title)
        self.title = title
        self.status = status  # type: ignore[misc]


class ServerError(OAuthError):
    """The other server did not give what was asked for."""

    error = "server_error"


class SentBack(OAuthError):
    """The app hears of it, and the journey is over."""

    def __init__(self, journey: Journey, cause: OAuthError) -> None:
        super().__init__(cause.description, detail=cause.detail)
        self.journey = journey
        self.error = cause.error  # type: ignore[misc]


def gone() -> Astray:
    """The link."""
    return Astray(
        "This link cannot be used any more",
        "It was good once, and for ten minutes. Go back to the app and begin again: "
        "it will make a new one.",
        status=404,
    )


def elsewhere() -> Astray:
    """A click that was not made on the page that this browser was shown."""
    return Astray(
        "Nothing was connected",
        "Open the link again, in a browser that keeps cookies, and press the button there.",
        status=403,
    )


def over(detail: str) -> Astray:
    """A return that nobody waits for."""
    return Astray(
        "This has come to its end already",
        "It is good once, and for a quarter of an hour. Look into the app whether your account "
        "is connected there; if it is not, begin again.",
        detail=detail,
    )


def another_browser() -> Astray:
    """A return to a browser that did not begin."""
    return Astray(
        "You have begun in another browser",
        "What was begun in one browser ends there, so that nobody can connect an account for "
        "somebody else. Go on where you have begun, or begin again from the app.",
        status=403,
    )


def another_server(detail: str) -> Astray:
    """A return that speaks of somebody who was not asked (RFC 9207)."""
    return Astray(
        "Nothing was connected",
        "The answer does not come from the server that was asked. Go back to the app and "
        "begin again; if this happens again, tell whoever runs the app.",
        detail=detail,
    )


def back(journey: Journey, **said: str) -> str:
    """The app's address with what it is told (RFC 6749 §4.1.2); its own query is kept."""
    parts = urlsplit(journey.redirect_uri)
    more = urlencode({**said, **({"state": journey.state} if journey.state else {})})
    return parts._replace(query="&".join(filter(None, (parts.query, more)))).geturl()


def refused(end: SentBack) -> str:
    """The same, for what did not come to anything."""
    return back(end.journey, error=end.error, error_description=end.description)


def theirs(error: str) -> OAuthError:
    """What the other server said in the browser, as an error of ours; its text is not repeated."""
    if error in ("access_denied", "consent_required"):
        return AccessDenied("the person did not agree")
    known = error if error.isascii() and error.replace("_", "").isalnum() else "something else"
    detail = f"the other server said {known[:40]}"
    if error == "temporarily_unavailable":
        return TemporarilyUnavailable(detail=detail)
    return ServerError(detail=detail)
