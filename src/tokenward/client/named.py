"""A token by its name, whoever we are: ``token_for("itwin")``, ``@requires_token("itwin")``.

Law of this module: who asks is said by the environment and not by the code, so that the same
program runs on a desk with the secret of a client, in a CI job and in a pod.
"""

import functools
import inspect
import os
from collections.abc import Callable
from typing import Any, TypeVar, Unpack, cast

from tokenward.client import disk
from tokenward.client.auth import Options, TokenAuth
from tokenward.client.environment import CLIENT_ID, CLIENT_SECRET, ISSUER
from tokenward.oauth.messages import AccessToken

Function = TypeVar("Function", bound=Callable[..., Any])


def token_for(
    name: str, *, scope: str = "", issuer: str = "", **options: Unpack[Options]
) -> AccessToken:
    """The token that is called ``name`` (or whose audience that is); ``str()`` is the token itself.

    Asked of TOKENWARD_ISSUER, unless ``issuer`` is given: with TOKENWARD_CLIENT_ID and
    TOKENWARD_CLIENT_SECRET if both are set (client credentials), else with the identity that this
    program has where it runs, a CI job, a pod or a cloud machine (token exchange, RFC 8693).

    Call it as often as you like. The process keeps the token, and so do files of the user's, so
    that a command line does not ask at every start (``disk``, ``TOKENWARD_CACHE=off``). Raises
    ``ValueError`` for what is missing or cannot be, and ``TokenError`` if there is no token, with
    every place that was looked at.
    """
    return _auth(name, scope, issuer, options).token()


async def atoken_for(
    name: str, *, scope: str = "", issuer: str = "", **options: Unpack[Options]
) -> AccessToken:
    """As ``token_for``, for tasks."""
    return await _auth(name, scope, issuer, options).atoken()


def requires_token(
    name: str,
    *,
    scope: str = "",
    issuer: str = "",
    into: str = "token",
    **options: Unpack[Options],
) -> Callable[[Function], Function]:
    """Call the function with a token that is good now, in its keyword-only parameter ``into``.

    The token is that of ``token_for``, or of ``atoken_for`` if it is a coroutine function, and an
    ``AccessToken``: ``str(token)`` goes into a header. It is got at every call, so that it is
    never an old one, and not if the caller passes one. The parameter is no longer in the
    function's signature, so a command line that is made from that does not ask for it.

    Raises ``TypeError`` for a function without such a parameter, and for generators, which go on
    for longer than a token may.
    """

    def decorate(function: Function) -> Function:
        signature = _without(function, into)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if into not in kwargs:
                kwargs[into] = token_for(name, scope=scope, issuer=issuer, **options)
            return function(*args, **kwargs)

        @functools.wraps(function)
        async def acall(*args: Any, **kwargs: Any) -> Any:
            if into not in kwargs:
                kwargs[into] = await atoken_for(name, scope=scope, issuer=issuer, **options)
            return await function(*args, **kwargs)

        wrapper: Any = acall if inspect.iscoroutinefunction(function) else call
        wrapper.__signature__ = signature
        wrapper.__annotations__ = {
            its: kind for its, kind in function.__annotations__.items() if its != into
        }
        return cast("Function", wrapper)

    return decorate


def _auth(name: str, scope: str, issuer: str, options: Options) -> TokenAuth:
    if not name:
        raise ValueError("a token needs a name, or an audience")
    options = {"disk": disk.of_user(), **options}
    said = os.environ.get(ISSUER, "")
    ours = not issuer or not said or issuer == said
    if ours and os.environ.get(CLIENT_ID) and os.environ.get(CLIENT_SECRET):
        return TokenAuth.client_credentials(issuer, scope=scope, audience=name, **options)
    # Here, because whoever has a client needs none of it.
    from tokenward.client.ambient.auth import ambient_auth  # noqa: PLC0415

    return ambient_auth(issuer, scope=scope, audience=name, **options)


def _without(function: Callable[..., Any], into: str) -> inspect.Signature:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{function.__name__} is a generator, which may go on for longer than a token is good;"
            " call token_for inside it"
        )
    signature = inspect.signature(function)
    parameter = signature.parameters.get(into)
    if parameter is None or parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        raise TypeError(
            f"{function.__name__} has no keyword-only parameter for the token: write"
            f" def {function.__name__}(…, *, {into}), or say what it is called with into="
        )
    others = [it for its, it in signature.parameters.items() if its != into]
    return signature.replace(parameters=others)
