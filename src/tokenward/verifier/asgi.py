"""A door before an ASGI application: nobody comes in without a good token (ASGI 3).

Law of this module: deny by default. Whatever is neither lifespan nor named as exempt needs a
token, WebSockets too.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from tokenward.jose.jwt import Claims
from tokenward.verifier.bearer import Gate, Refusal
from tokenward.verifier.scopes import NO_CLAIMS
from tokenward.verifier.verifier import Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION = 1008
"""RFC 6455 §7.4.1; servers answer 403 to a handshake that is closed before it is accepted."""


class BearerMiddleware:
    """Passes requests on with the token's claims in their scope.

    The application finds them in ``scope["tokenward.claims"]`` and ``scope["state"]["token"]``
    (Starlette: ``request.state.token``); ``None`` where none were needed and none came. Put CORS
    outside: preflights carry no token.
    """

    def __init__(
        self,
        app: App,
        verifier: Verifier,
        *,
        scope: str = "",
        claims: Mapping[str, object] = NO_CLAIMS,
        exempt: Iterable[str] = (),
        optional: bool = False,
        realm: str = "api",
    ) -> None:
        """``exempt``: exact paths that need no token, and ``/public/*`` for all below one.

        ``optional``: without credentials a request passes; bad ones are refused all the same.
        """
        self._app = app
        self._gate = Gate(verifier=verifier, scope=scope, claims=claims, realm=realm)
        self._paths = frozenset(path for path in exempt if not path.endswith("/*"))
        self._below = tuple(path[:-1] for path in exempt if path.endswith("/*"))
        self._optional = optional

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if self._is_exempt(scope["path"]) or (self._optional and not values):
            await self._app(_with(scope, None), receive, send)
            return
        match await self._gate.aadmit(values):
            case Refusal() as refusal:
                await self._refuse(refusal, scope, receive, send)
            case claims:
                await self._app(_with(scope, claims), receive, send)

    def _is_exempt(self, path: str) -> bool:
        if path in self._paths:
            return True
        # Somebody further in may resolve dots or repeated slashes and end up elsewhere.
        return path.startswith(self._below) and not any(
            trick in path for trick in ("/.", "//", "\\", "%")
        )

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = "http.response"
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            if "websocket.http.response" not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
                return
            prefix = "websocket.http.response"
        body = refusal.body()
        headers = {**refusal.headers(self._gate.realm), "content-length": str(len(body))}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": f"{prefix}.start", "status": refusal.status, "headers": raw})
        await send({"type": f"{prefix}.body", "body": body})


def _with(scope: Scope, claims: Claims | None) -> Scope:
    state = {**scope.get("state", {}), "token": claims}
    return {**scope, "state": state, "tokenward.claims": claims}
