"""Traces: a span for each request, and below it one for each question upstream and each write.

Law of this module: a span has words of ours and of the configuration, never a token, a secret, a
query or anybody's own text; who comes before us in a trace counts only if one of our own proxies
says so; and what becomes of spans is no matter of any request.
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

import tokenward
from tokenward.oauth.errors import OAuthError
from tokenward.server.collector import Collector
from tokenward.server.http import Received
from tokenward.server.settings.otel import OtelSettings
from tokenward.server.stores import Store
from tokenward.server.tracedstore import TracedStore
from tokenward.server.watching import Note

LAST = 3.0
"""Seconds that the last spans may take when the server stops."""

QUEUE, BATCH, DELAY = 4_096, 512, 1.0
"""Spans that wait at most, that are sent at a time, and the seconds between; more are lost."""

# https://www.w3.org/TR/trace-context/ §3.2; a later version may have more behind a dash.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

_here: ContextVar[Span | None] = ContextVar("_here", default=None)
"""The span of the request that we are about."""


class Traces:
    """Makes spans, and has them sent."""

    def __init__(self, settings: OtelSettings) -> None:
        self._settings = settings
        self._collector = Collector(settings.url, settings.headers)
        self._processor: BatchSpanProcessor | None = None
        self._tracer: Tracer | None = None

    async def open(self) -> None:
        """Begin; each process has its own queue."""
        resource = Resource(
            {
                "service.name": self._settings.service,
                "service.version": tokenward.__version__,
                "process.pid": os.getpid(),
            }
        )
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(self._settings.sampled)),
            resource=resource,
            shutdown_on_exit=False,
        )
        self._processor = BatchSpanProcessor(
            self._collector,
            max_queue_size=QUEUE,
            schedule_delay_millis=DELAY * 1_000,
            max_export_batch_size=BATCH,
            export_timeout_millis=LAST * 1_000,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("tokenward", tokenward.__version__)

    async def close(self) -> None:
        """Send what is left, for ``LAST`` seconds at most, and not longer if nobody takes it."""
        processor, self._processor, self._tracer = self._processor, None, None
        if processor is None:
            return
        self._collector.leave(LAST)
        # A thread that nobody waits for at the end, should a name server hold it up.
        leaving = threading.Thread(target=processor.shutdown, name="tokenward-traces", daemon=True)
        leaving.start()
        await asyncio.to_thread(leaving.join, LAST)

    # ── requests ────────────────────────────────────────────────────────────────────────────────

    def begin(self, note: Note, received: Received) -> None:
        """Begin the span of a request."""
        if self._tracer is not None:
            self._span(note, _parent(received), time.time_ns())
            _here.set(note.span)

    def end(self, note: Note) -> None:
        """End the span of a request, which may not have led to any endpoint."""
        if self._tracer is None:
            return
        if note.span is None:
            self._span(note, Context(), time.time_ns() - int(note.seconds * 1e9))
        span: Span = note.span
        if span.is_recording():
            span.update_name(f"{note.method} {note.route}".rstrip())
            span.set_attributes(_said(note))
            if self._settings.subject and note.subject:
                span.set_attribute("user.id", note.subject)
            if note.status >= 500:  # noqa: PLR2004  what callers do wrong is no error of ours
                span.set_attribute("error.type", note.outcome or str(note.status))
                span.set_status(StatusCode.ERROR)
        span.end()

    def _span(self, note: Note, context: Context, began: int) -> None:
        if self._tracer is not None:
            note.span = self._tracer.start_span(
                "request", context, kind=SpanKind.SERVER, start_time=began
            )
            note.trace_id = f"{note.span.get_span_context().trace_id:032x}"

    # ── what requests lead to ───────────────────────────────────────────────────────────────────

    @contextmanager
    def below(self, name: str, kind: SpanKind, **said: str | int) -> Iterator[Span | None]:
        """A span below that of the request we are about; ``None`` if we are about none."""
        here = _here.get()
        if here is None or self._tracer is None:
            yield None
            return
        attributes = {key.replace("_", "."): value for key, value in said.items()}
        context = set_span_in_context(here, Context())
        span = self._tracer.start_span(name, context, kind=kind, attributes=attributes)
        try:
            yield span
        except BaseException as problem:
            code = problem.error if isinstance(problem, OAuthError) else type(problem).__name__
            span.set_attribute("error.type", code)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def outward(self, transport: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
        """The same way to upstreams, with a span for each request."""
        return _Outward(transport, self)

    def kept(self, store: Store) -> Store:
        """The same store, with a span for each write."""
        return TracedStore(store, lambda name: self.below(name, SpanKind.INTERNAL))


class _Outward(httpx2.AsyncBaseTransport):
    """Questions to upstreams: each is told which trace it belongs to, and nothing else about it.

    Only upstreams of the configuration are asked this way.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, traces: Traces) -> None:
        self._inner, self._traces = inner, traces

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        said = {"http_request_method": request.method, "server_address": request.url.host}
        with self._traces.below(request.method, SpanKind.CLIENT, **said) as span:
            if span is None:
                return await self._inner.handle_async_request(request)
            request.headers["traceparent"] = traceparent(span.get_span_context())
            response = await self._inner.handle_async_request(request)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:  # noqa: PLR2004
                span.set_attribute("error.type", str(response.status_code))
                span.set_status(StatusCode.ERROR)
            return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def traceparent(context: SpanContext) -> str:
    """How the next one is told (Trace Context §3.2); the trace's state is not passed on."""
    sampled = context.trace_flags & TraceFlags.SAMPLED  # the only flag of version 00
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"


def _parent(received: Received) -> Context:
    """Who comes before us, if one of our own proxies says so."""
    if not received.vouched:
        return Context()
    try:
        found = _TRACEPARENT.fullmatch(received.header(b"traceparent"))
    except OAuthError:  # it came twice, so nobody knows which is meant
        return Context()
    if found is None or (found[1] == "00" and found[5]):
        return Context()
    context = SpanContext(
        trace_id=int(found[2], 16),
        span_id=int(found[3], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(found[4], 16) & TraceFlags.SAMPLED),
    )
    return (
        set_span_in_context(NonRecordingSpan(context), Context())
        if context.is_valid
        else (Context())
    )


def _said(note: Note) -> dict[str, str | int]:
    """What a span says of a request; what is not known is not there."""
    said: dict[str, str | int] = {
        "http.request.method": note.method,
        "http.route": note.route,
        "http.response.status_code": note.status,
        "tokenward.request_id": note.id,
        "tokenward.event": note.kind,
        "tokenward.grant_type": note.grant_type,
        "tokenward.client": note.client,
        "tokenward.token": note.token,
        "tokenward.outcome": note.outcome,
    }
    return {name: value for name, value in said.items() if value}
