"""A collector of OpenTelemetry, and a receiver of webhooks, on one port: what it was sent is kept."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What came in: spans and lines of the log as dicts, webhooks as their headers."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.hooks: list[tuple[dict[str, str], bytes]] = []
        self.raw: list[str] = []
        self.url = ""
        self.scopes: set[str] = set()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Take a request."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if path == "/v1/traces":
            self._take(MessageToDict(ExportTraceServiceRequest.FromString(body)), "resourceSpans", self.spans)
        elif path == "/v1/logs":
            self._take(MessageToDict(ExportLogsServiceRequest.FromString(body)), "resourceLogs", self.lines)
        else:
            self.hooks.append((headers, body))

    def _take(self, sent: dict[str, Any], name: str, rows: list[dict[str, Any]]) -> None:
        self.raw.append(json.dumps(sent))
        for resource in sent[name]:
            for scope in resource[name.replace("resource", "scope")]:
                self.scopes.add(scope["scope"]["name"])
                rows += scope.get("spans", scope.get("logRecords", []))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on a free port of this machine."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def attributes(row: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span or a line."""
    return {each["key"]: next(iter(each["value"].values())) for each in row.get("attributes", ())}
