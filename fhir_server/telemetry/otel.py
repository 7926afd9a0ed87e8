"""Traces and lines of the log, sent to an OpenTelemetry collector; imported only where the settings ask for it.

The provider is our own, not that of the process: what other packages would tell of their calls (URLs, statements of a
database) never gets near it. Errors are named by their kind, for messages quote values of patients.

Spec: https://opentelemetry.io/docs/specs/otlp/
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as Made
from opentelemetry.trace import SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fhir_server.telemetry import tracing
from fhir_server.telemetry.logs import REQUEST_ID, said
from fhir_server.telemetry.tracing import Kind, Span, Word

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "inside": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
_OURS: Final = "fhir_server"
_FIELDS: Final = ("traceparent", "tracestate")
_propagator = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go: its address, the share of requests that are traced, whether lines of the log go there too.

    version, role: of this process.
    """

    endpoint: str
    share: float = 1.0
    logs: bool = False
    version: str = ""
    role: str = ""


class _Span:
    """tracing.Span over one of OpenTelemetry."""

    __slots__ = ("_made",)

    def __init__(self, made: Made) -> None:
        self._made = made

    def name(self, name: str) -> None:
        """Call it otherwise."""
        self._made.update_name(name)

    def note(self, key: str, value: Word) -> None:
        """Say something of it."""
        self._made.set_attribute(key, value)

    def failed(self, kind: str) -> None:
        """Say that it failed."""
        self._made.set_status(StatusCode.ERROR)
        self._made.set_attribute("error.type", kind)


class _Tracer:
    """tracing.Tracer over a provider."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(_OURS)

    def span(
        self, name: str, kind: Kind, notes: Mapping[str, Word], headers: Mapping[str, str] | None
    ) -> AbstractContextManager[Span]:
        """Begin a span."""
        return self._begun(name, kind, notes, headers)

    @contextmanager
    def _begun(
        self, name: str, kind: Kind, notes: Mapping[str, Word], headers: Mapping[str, str] | None
    ) -> Iterator[Span]:
        parent = None
        if headers is not None:
            parent = _propagator.extract({each: headers[each] for each in _FIELDS if each in headers})
        made = self._tracer.start_span(name, parent, _KINDS[kind], dict(notes), record_exception=False)
        token = contexts.attach(set_span_in_context(made))
        spoken = _Span(made)
        try:
            yield spoken
        except BaseException as error:
            spoken.failed(type(error).__name__)
            raise
        finally:
            contexts.detach(token)
            made.end()

    def current(self) -> Span:
        """Return the span under way."""
        return _Span(get_current_span())

    def ids(self) -> tuple[str, str]:
        """Return the ids of trace and span."""
        found = get_current_span().get_span_context()
        return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else ("", "")

    def outgoing(self) -> dict[str, str]:
        """Return the headers for another server."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier


class _Lines(logging.Handler):
    """Sends lines of the log, without the messages of errors."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__(logging.INFO)
        self._logger = provider.get_logger(_OURS)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        attributes: dict[str, Any] = {"logger": record.name, "request_id": REQUEST_ID.get()}
        if record.exc_info and record.exc_info[0] is not None:
            attributes["error.type"] = record.exc_info[0].__name__
        self._logger.emit(
            LogRecord(
                timestamp=round(record.created * 1e9),
                observed_timestamp=time.time_ns(),
                context=contexts.get_current(),
                severity_text=record.levelname,
                severity_number=SeverityNumber(min(24, max(1, record.levelno // 10 * 4 + 1))),
                body=said(record),
                attributes={key: value for key, value in attributes.items() if value},
            )
        )


@contextmanager
def sending(collector: Collector) -> Iterator[None]:
    """Send traces for as long as the context lasts; what waits at its end is sent, for two seconds at most."""
    resource = Resource.create(
        {"service.name": "fhir-server", "service.version": collector.version, "service.role": collector.role}
    )
    root = collector.endpoint.rstrip("/")
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(collector.share)), resource=resource, shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{root}/v1/traces", timeout=5)))
    closing: list[Any] = [provider]
    lines: Sequence[_Lines] = ()
    if collector.logs:
        logs = LoggerProvider(resource, shutdown_on_exit=False)
        logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{root}/v1/logs", timeout=5)))
        lines = (_Lines(logs),)
        closing.append(logs)
    for each in lines:
        logging.getLogger().addHandler(each)
    tracing.watch_by(_Tracer(provider))
    try:
        yield
    finally:
        tracing.watch_by(None)
        for each in lines:
            logging.getLogger().removeHandler(each)
        for one in closing:
            one.force_flush(2_000)
            one.shutdown()
