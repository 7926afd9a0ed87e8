"""A request as a span: named after what it is of, never after its URL.

Spec: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from fhir_server.api.headers import Scope
from fhir_server.settings import Settings
from fhir_server.telemetry import tracing

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_PARENT: Final = (b"traceparent", b"tracestate")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


async def traced(answer: Callable[[], Awaitable[None]], scope: Scope) -> None:
    """Answer a request within a span, part of what its client says; whoever knows what it is names it."""
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PARENT}
    with tracing.span(method, "server", {"http.request.method": method}, headers):
        await answer()


def noting(send: Send) -> Send:
    """Return `send` with the status noted in the span under way."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered(message["status"])
        await send(message)

    return sent


def named(name: str, type_: str = "") -> None:
    """Say what the request is: an interaction or a route, and the type of resource."""
    span = tracing.current()
    span.name(f"{name} {type_}".rstrip())
    span.note("fhir.interaction", name)
    if type_:
        span.note("fhir.type", type_)


def answered(status: int) -> None:
    """Say how it was answered."""
    span = tracing.current()
    span.note("http.response.status_code", status)
    if status >= 500:
        span.failed(str(status))


@contextmanager
def traces(settings: Settings, role: str, version: str) -> Iterator[None]:
    """Send traces as the settings say; in the process that only starts others there are none."""
    if settings.tracing == "off" or role == "owner":
        yield
        return
    from fhir_server.telemetry.otel import Collector, sending

    collector = Collector(settings.tracing_endpoint, settings.tracing_share, settings.tracing_logs, version, role)
    with sending(collector):
        yield
