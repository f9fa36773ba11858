"""Sends spans to an OpenTelemetry collector (OTLP over HTTP), from a thread of its own.

Law of this module: whoever does not take them loses them. It holds up nobody, is tried again twice
and no more, and neither its words nor what we show it are ever written anywhere.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from math import inf
from time import monotonic

import httpx2
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tokenward.remote.fetch import RemoteError, open_client, run
from tokenward.remote.flow import Flow

_log = logging.getLogger("tokenward.server")

DEADLINE = 5.0
"""Seconds for one try."""

PAUSES = (0.0, 1.0, 2.0)
"""Seconds before each try."""


class Collector(SpanExporter):
    """The collector at this URL."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, dict(headers)
        self._http: httpx2.Client | None = None
        self._leaving = threading.Event()
        self._until = inf
        self._lost = 0

    def leave(self, seconds: float) -> None:
        """Try nothing twice from now on, and nothing at all after so many seconds."""
        self._until = monotonic() + seconds
        self._leaving.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them; what cannot be sent is lost, and the log says so once."""
        body = encode_spans(spans).SerializeToString()
        reason = "there is no time left"
        for pause in PAUSES:
            if pause and self._leaving.wait(pause):
                break
            left = min(DEADLINE, self._until - monotonic())
            if left <= 0:
                break
            try:
                if self._http is None:
                    self._http = open_client()
                run(self._posted(body), self._http, deadline=left)
            except RemoteError as error:
                reason = error.reason
                if not error.transient:
                    break
            else:
                if self._lost:
                    _log.warning("traces are taken again; %d spans were lost", self._lost)
                self._lost = 0
                return SpanExportResult.SUCCESS
        if not self._lost:
            _log.warning("traces are lost: %s", reason)
        self._lost += len(spans)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        if self._http is not None:
            self._http.close()

    def _posted(self, body: bytes) -> Flow[None]:
        headers = {**self._headers, "Content-Type": "application/x-protobuf"}
        response = yield httpx2.Request("POST", self._url, headers=headers, content=body)
        status = response.status_code
        if status != 200:  # noqa: PLR2004  OTLP/HTTP: 200, also if some were refused
            transient = status in (429, 502, 503, 504)  # and only these (OTLP/HTTP, Failures)
            raise RemoteError(f"the collector answered {status}", transient=transient)
