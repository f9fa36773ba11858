"""``tokenward check --live``, for one upstream: would it give us a token, which is thrown away?"""

from contextlib import AsyncExitStack
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

    from tokenward.server.settings import Settings


class Failed(Exception):
    """It would not do; ``hint`` says what may help."""

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.hint = hint


async def tried(
    name: str, settings: "Settings", http: "httpx2.AsyncClient", *, deadline: float
) -> str:
    """What came of asking for this token, or why it was not asked for; raises ``Failed``."""
    from tokenward.oauth.errors import OAuthError  # noqa: PLC0415
    from tokenward.remote.clients import open_async_client  # noqa: PLC0415
    from tokenward.remote.fetch import RemoteError, arun  # noqa: PLC0415
    from tokenward.server.app import policy  # noqa: PLC0415
    from tokenward.server.upstreams import (  # noqa: PLC0415
        Lasts,
        carrier_for,
        forwards,
        identity_for,
        passes,
    )

    token_settings = settings.tokens[name]
    upstream: Any = token_settings.upstream
    if forwards(upstream):
        return "was not tried: it wants a token of a caller's"
    if isinstance(upstream, Lasts):
        return "was not tried: its refresh token is shown by the running server alone"
    if passes(upstream):
        return "was not tried: callers answer its challenges"
    if token_settings.signs:
        return f"was not tried: issuers.{token_settings.signs} signs for it while the server runs"
    trial = policy(settings).trial(name)
    if trial is None:
        raise Failed("no rule gives it to anybody", "[[allow]] … token = " + repr(name))
    try:
        flow = upstream.flow(trial, now=time())
        async with AsyncExitStack() as stack:
            identity, carrier = identity_for(upstream), carrier_for(upstream)
            if identity or carrier:
                http = await stack.enter_async_context(
                    open_async_client(transport=carrier, identity=identity)
                )
            token = await arun(flow, http, deadline=deadline)
    except RemoteError as exc:
        code = f": {exc.code}" if exc.code else ""
        hint = {
            "invalid_client": "Is the client_secret still the right one?",
            "invalid_scope": "Does it know these scopes, and may we have them?",
        }.get(exc.code, "")
        raise Failed(f"{exc.reason}{code}", hint) from None
    except (OAuthError, ValueError, LookupError, TypeError) as exc:
        raise Failed(f"gave no token of any use ({type(exc).__name__})") from None
    left = token.expires_at - time()
    return f"gave a token for {left:.0f} s" + (f": {trial.scope}" if trial.scope else "")
