"""Carrying a conversation to somebody else's server, and back only what may be believed to be one.

Law of this module: one deadline for the whole conversation, a limit for every body, and one error
for whatever goes wrong: ``RemoteError``, in our words.
"""

import asyncio
import re
import zlib
from contextlib import closing, suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

import httpx2

from tokenward import clock
from tokenward.jose.jws import load_object
from tokenward.remote.clients import open_async_client, open_client
from tokenward.remote.deadline import no_later_than
from tokenward.remote.faults import said_of
from tokenward.remote.flow import Flow

__all__ = ["RemoteError", "arun", "json_object", "open_async_client", "open_client", "run"]

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds for a whole conversation: names, handshakes, every request and answer."""

GRACE = 0.2
LIMIT = 256 * 1024
"""Bytes of one body, as sent and as unpacked."""

LONGEST_RETRY = 3_600.0
"""Seconds; whoever asks us to stay away for longer is asked again after this."""

_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,39}")


class RemoteError(Exception):
    """Somebody else's server did not give what was asked for, and why, in words for operators."""

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        transient: bool = False,
        code: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        """The HTTP status, or 0 if there was no answer."""

        self.retry_after = retry_after
        """Seconds they ask us to wait (RFC 9110 §10.2.3), at most an hour."""

        self.transient = transient
        """Whether the same request may well succeed a little later."""

        self.code = code
        """The ``error`` of RFC 6749 §5.2, if the answer had one that looks like one."""

    def again(self) -> "RemoteError":
        """The same error, to raise once more: without the frames this one has gone through."""
        told = {name: vars(self)[name] for name in ("status", "retry_after", "transient", "code")}
        return RemoteError(self.reason, **told)


def run(
    flow: Flow[T], client: httpx2.Client, *, deadline: float = DEADLINE, limit: int = LIMIT
) -> T:
    """Carry a flow from a thread and return its result; raises ``RemoteError``.

    ``deadline`` is in seconds, ``limit`` in bytes. What fails is thrown into the flow, which may
    go on. Only looking up a host's name can take longer, because the system does it.
    """
    step: httpx2.Response | RemoteError | None = None
    until = monotonic() + deadline
    with closing(flow), no_later_than(until):
        while True:
            try:
                request = _next(flow, step)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                step = _ask(client, _dressed(request, client, until - monotonic()), limit)
            except Exception as exc:  # noqa: BLE001 - _fault raises what is not theirs
                step = _fault(exc, request)


async def arun(
    flow: Flow[T], client: httpx2.AsyncClient, *, deadline: float = DEADLINE, limit: int = LIMIT
) -> T:
    """Carry a flow from an event loop, like ``run``; cancelling it closes the connection."""
    step: httpx2.Response | RemoteError | None = None
    until = monotonic() + deadline
    with closing(flow):
        while True:
            try:
                request = _next(flow, step)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                left = until - monotonic()
                # Their own timeouts come first: they clean up better than a cancellation.
                async with asyncio.timeout(left + GRACE):
                    step = await _aask(client, _dressed(request, client, left), limit)
            except Exception as exc:  # noqa: BLE001 - _fault raises what is not theirs
                step = _fault(exc, request)


def json_object(response: httpx2.Response, *, expect: int = 200) -> dict[str, object]:
    """The JSON object of an answer with the expected status; raises ``RemoteError``."""
    if response.status_code != expect:
        raise _refused(response)
    try:
        return load_object(response.content)
    except ValueError:
        raise RemoteError(
            f"{_host(response)} answered {expect}, but not with a JSON object",
            status=response.status_code,
        ) from None


def retry_after(value: str, *, now: float) -> float | None:
    """Seconds until then, at most an hour; ``None`` if it says nothing (RFC 9110 §10.2.3)."""
    if value.isascii() and value.isdigit() and len(value) < 10:  # noqa: PLR2004
        return min(float(value), LONGEST_RETRY)
    then = _date(value)
    return None if then is None else max(0.0, min(then - now, LONGEST_RETRY))


def _next(flow: Flow[T], step: httpx2.Response | RemoteError | None) -> httpx2.Request:
    try:
        if isinstance(step, RemoteError):
            return flow.throw(step)
        return next(flow) if step is None else flow.send(step)
    except httpx2.InvalidURL:
        raise RemoteError("the address is not one we can connect to") from None


def _ask(client: httpx2.Client, request: httpx2.Request, limit: int) -> httpx2.Response:
    response = client.send(request, stream=True, follow_redirects=False)
    try:
        body = bytearray()
        if not _is_redirect(response):
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    break
    finally:
        response.close()
    return _received(request, response, bytes(body), limit)


async def _aask(client: httpx2.AsyncClient, request: httpx2.Request, limit: int) -> httpx2.Response:
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        body = bytearray()
        if not _is_redirect(response):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > limit:
                    break
    finally:
        await response.aclose()
    return _received(request, response, bytes(body), limit)


def _dressed(
    request: httpx2.Request, client: httpx2.Client | httpx2.AsyncClient, left: float
) -> httpx2.Request:
    if left <= 0:
        raise TimeoutError
    request.headers.setdefault("User-Agent", client.headers["User-Agent"])
    request.headers.setdefault("Accept", "application/json")
    request.headers["Accept-Encoding"] = "identity"
    timeout = {
        step: left if seconds is None else min(seconds, left)
        for step, seconds in client.timeout.as_dict().items()
    }
    request.extensions = {**request.extensions, "timeout": timeout}
    return request


def _is_redirect(response: httpx2.Response) -> bool:
    return 300 <= response.status_code < 400  # noqa: PLR2004


def _received(
    request: httpx2.Request, response: httpx2.Response, body: bytes, limit: int
) -> httpx2.Response:
    host, status = _host(request), response.status_code
    if _is_redirect(response):
        raise RemoteError(
            f"{host} answered {status}, a redirect, which is not followed", status=status
        )
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if len(body) <= limit and encoding in ("gzip", "x-gzip"):
        # Not asked for, but files that lie packed on a server are sent no other way.
        body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, limit + 1)
    elif encoding != "identity":
        raise RemoteError(f"{host} answered in an encoding that was not asked for", status=status)
    if len(body) > limit:
        raise RemoteError(f"{host} answered more than {limit} bytes", status=status)
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    return httpx2.Response(status, headers=headers, content=body, request=request)


def _refused(response: httpx2.Response) -> RemoteError:
    status, headers = response.status_code, response.headers
    code: object = ""
    with suppress(ValueError):  # what an error says may be anything
        code = load_object(response.content).get("error")
    # Their date is counted from their clock, if they say what it is.
    now = _date(headers.get("Date", ""))
    return RemoteError(
        f"{_host(response)} answered {status}",
        status=status,
        retry_after=retry_after(
            headers.get("Retry-After", ""), now=clock.now() if now is None else now
        ),
        transient=status in (408, 429) or status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        code=code if isinstance(code, str) and _CODE.fullmatch(code) else "",
    )


def _fault(exc: Exception, request: httpx2.Request) -> RemoteError:
    """What an exception on the way means; raises it again if it is a mistake of ours."""
    match exc:
        case RemoteError():
            return exc
        case TimeoutError() | httpx2.TimeoutException():
            return RemoteError(f"{_host(request)} did not answer in time", transient=True)
        case httpx2.HTTPError() | httpx2.InvalidURL() | OSError() | UnicodeError() | zlib.error():
            said, transient = said_of(exc)
            return RemoteError(f"{_host(request)} {said}", transient=transient)
    raise exc


def _host(message: httpx2.Request | httpx2.Response) -> str:
    try:
        request = message.request if isinstance(message, httpx2.Response) else message
    except RuntimeError:  # an answer nobody asked for: a test's
        return "the server"
    return request.url.host or "the server"


def _date(value: str) -> float | None:
    try:
        then = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
