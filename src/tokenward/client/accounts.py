"""Accounts that people have elsewhere: connect them for this app, see which are, and end it.

Law of this module: every question has the token of the person whom it is about, and goes with it
to the server alone; nothing of it is in a URL but links and codes that are good once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, Unpack
from urllib.parse import urlencode, urlsplit

import httpx2

from tokenward.client.auth import Options, endpoint_of
from tokenward.client.errors import TokenError
from tokenward.client.flows import TokenEndpoint
from tokenward.clock import now
from tokenward.jose.jws import load_object
from tokenward.oauth.messages import JWT
from tokenward.remote.fetch import (
    RemoteError,
    arun,
    json_object,
    open_async_client,
    open_client,
    run,
)
from tokenward.remote.flow import Flow

T = TypeVar("T")

Said = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How it is about one account of one person."""

    audience: str
    """The token it is for."""

    status: str
    """``connected``, ``ended`` (the other server has ended it) or ``not_connected``."""

    scope: str = ""
    connected_at: int = 0
    """Seconds since the epoch."""

    def __bool__(self) -> bool:
        return self.status == "connected"


class Accounts:
    """The accounts that an app's people have connected for it.

    ``issuer`` is the server's; client and secret are the app's, as for ``TokenAuth.exchange``, and
    may be left out by an app that has none. Raises ``ValueError`` for what cannot be. Every method
    raises ``TokenError``, and has one for tasks, with an ``a`` before its name.
    """

    def __init__(
        self,
        issuer: str = "",
        client_id: str = "",
        client_secret: str = "",
        **options: Unpack[Options],
    ) -> None:
        self._us = endpoint_of(issuer, client_id, client_secret, options, needs_client=False)
        parts = urlsplit(self._us.issuer or self._us.url)
        self._place = f"{parts.scheme}://{parts.netloc}/connections/"
        self._deadline = options.get("deadline", 10.0)
        self._connect: Callable[[], httpx2.Client] = options.get("connect", open_client)

    def connect_url(
        self,
        audience: str,
        *,
        subject_token: str,
        scope: str = "",
        redirect_uri: str = "",
        state: str = "",
    ) -> str:
        """Where to send this person's browser so that they connect their account.

        It is good once, for ten minutes. They come back to ``redirect_uri``, which must be
        configured for the app, with ``state`` and a ``connection_code`` for ``complete``.
        """
        return self._run(self._start(audience, subject_token, scope, redirect_uri, state))

    async def aconnect_url(
        self,
        audience: str,
        *,
        subject_token: str,
        scope: str = "",
        redirect_uri: str = "",
        state: str = "",
    ) -> str:
        """As ``connect_url``, for tasks."""
        return await self._arun(self._start(audience, subject_token, scope, redirect_uri, state))

    def complete(self, connection_code: str, *, subject_token: str) -> Account:
        """Make a connection of the code, with the token of whoever is at the browser *now*.

        Take that from the session that the browser has with you, never from what ``connect_url``
        was asked with: this is what keeps people from connecting accounts for one another.
        """
        return self._run(self._completed(connection_code, subject_token))

    async def acomplete(self, connection_code: str, *, subject_token: str) -> Account:
        """As ``complete``, for tasks."""
        return await self._arun(self._completed(connection_code, subject_token))

    def connections(self, *, subject_token: str, audience: str = "") -> list[Account]:
        """What this person has connected for this app; with an audience, how it is about that."""
        return self._run(self._listed(subject_token, audience))

    async def aconnections(self, *, subject_token: str, audience: str = "") -> list[Account]:
        """As ``connections``, for tasks."""
        return await self._arun(self._listed(subject_token, audience))

    def disconnect(self, audience: str, *, subject_token: str) -> bool:
        """End it; whether there was a connection."""
        return self._run(self._ended(audience, subject_token))

    async def adisconnect(self, audience: str, *, subject_token: str) -> bool:
        """As ``disconnect``, for tasks."""
        return await self._arun(self._ended(audience, subject_token))

    # ── what is said ────────────────────────────────────────────────────────────────────────────

    def _start(
        self, audience: str, token: str, scope: str, redirect_uri: str, state: str
    ) -> Flow[str]:
        form = {"audience": audience, "scope": scope, "redirect_uri": redirect_uri, "state": state}
        answer = yield from self._asked("start", token, form)
        return _text(answer, "connect_uri")

    def _completed(self, code: str, token: str) -> Flow[Account]:
        return _account((yield from self._asked("complete", token, {"connection_code": code})))

    def _listed(self, token: str, audience: str) -> Flow[list[Account]]:
        answer = yield from self._asked("list", token, {"audience": audience})
        found = answer.get("connections")
        if not isinstance(found, list):
            raise TokenError("the server answered without connections", status=200)
        return [_account(one) for one in found if isinstance(one, dict)]

    def _ended(self, audience: str, token: str) -> Flow[bool]:
        answer = yield from self._asked("disconnect", token, {"audience": audience})
        return _text(answer, "status") == "disconnected"

    def _asked(self, what: str, token: str, form: Mapping[str, str]) -> Flow[Said]:
        if not token:
            raise ValueError("subject_token is empty: whose account is it?")
        us: TokenEndpoint = self._us
        said = {
            **us.credentials.fields(us.issuer or us.url, now=now()),
            "subject_token": token,
            "subject_token_type": JWT,
            **form,
        }
        response = yield httpx2.Request(
            "POST",
            self._place + what,
            headers={
                **us.credentials.header(),
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            content=urlencode([pair for pair in said.items() if pair[1]]).encode(),
        )
        try:
            return json_object(response)
        except RemoteError as fault:
            raise TokenError.of(fault, description=_description(response, token)) from None

    def _run(self, flow: Flow[T]) -> T:
        with self._connect() as client:
            try:
                return run(flow, client, deadline=self._deadline)
            except RemoteError as fault:
                raise TokenError.of(fault) from None

    async def _arun(self, flow: Flow[T]) -> T:
        async with open_async_client() as client:
            try:
                return await arun(flow, client, deadline=self._deadline)
            except RemoteError as fault:
                raise TokenError.of(fault) from None


def _account(said: Said) -> Account:
    at = said.get("connected_at")
    return Account(
        audience=_text(said, "audience"),
        status=_text(said, "status"),
        scope=str(said.get("scope", "")),
        connected_at=at if isinstance(at, int) else 0,
    )


def _text(said: Said, name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str) or not found:
        raise TokenError(f"the server answered without {name}", status=200)
    return found


def _description(response: httpx2.Response, token: str) -> str:
    """The server's own words for the developer, if they repeat nothing that was secret."""
    try:
        said = load_object(response.content).get("error_description", "")
    except ValueError:
        return ""
    good = isinstance(said, str) and said.isascii() and said.isprintable() and token not in said
    return str(said)[:300] if good else ""
