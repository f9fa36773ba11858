"""An OpenTelemetry collector: a real HTTP server on loopback that takes spans, or does not."""

import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import until_now

THEIRS = "COLLECTORS-OWN-WORDS"
"""Is in whatever a collector says that takes nothing, and must never be seen on our side."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A span as it arrived."""

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    failed: bool
    began: int
    ended: int
    said: dict[str, str | int]
    by: dict[str, str | int] = field(repr=False)
    """What the resource says."""


class Collector:
    """Answers each batch with the next of ``statuses``, or 200."""

    def __init__(self) -> None:
        self.statuses: deque[int] = deque()
        self.bodies: list[bytes] = []
        """All that came, whether it was taken or not."""

        self.asked: list[tuple[str, dict[str, str]]] = []
        self.spans: list[Seen] = []
        self.hang = False
        self.let_go = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                with suppress(OSError):
                    collector._take(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # those who hang up were meant to

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): it for name, it in handler.headers.items()}
        self.asked.append((handler.path, headers))
        self.bodies.append(body)
        if self.hang:
            self.let_go.wait(30)
            handler.close_connection = True
            return
        status = self.statuses.popleft() if self.statuses else 200
        said = b"" if status == 200 else THEIRS.encode()
        if status == 200:
            self.spans += spans(body)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    def wait(self, count: int) -> list[Seen]:
        """All spans, once there are so many."""
        until_now(lambda: len(self.spans) >= count)
        return self.spans

    def only(self, **like: object) -> Seen:
        """The one span whose attributes are like this, ``_`` for ``.``."""
        wanted = {name.replace("__", "."): it for name, it in like.items()}
        (found,) = [span for span in self.spans if span.said.items() >= wanted.items()]
        return found


def spans(body: bytes) -> list[Seen]:
    """The spans of one batch (OTLP, ExportTraceServiceRequest)."""
    return [
        Seen(
            name=span.name,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
            failed=span.status.code == 2,
            began=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            said=_plain(span.attributes),
            by=_plain(group.resource.attributes),
        )
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _plain(attributes: Any) -> dict[str, str | int]:
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}
