"""Traces: which parts of the server a request or a piece of work went through, and how long each took.

Off by default, and then a span costs the look at one variable. What is told of a span are words of the code: an
interaction, a resource type, a status; no URL, id, name or value of anybody.

Spec: https://opentelemetry.io/docs/specs/otel/trace/, https://www.w3.org/TR/trace-context/
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Literal, Protocol

Kind = Literal["inside", "server", "client", "consumer"]
Word = str | int | float


class Span(Protocol):
    """A span that is under way."""

    def name(self, name: str) -> None:
        """Call it otherwise."""

    def note(self, key: str, value: Word) -> None:
        """Say something of it; both are words of the code."""

    def failed(self, kind: str) -> None:
        """Say that it failed, and the kind of error."""


class Tracer(Protocol):
    """What makes spans, once traces are on: telemetry/otel.py."""

    def span(
        self, name: str, kind: Kind, notes: Mapping[str, Word], headers: Mapping[str, str] | None
    ) -> AbstractContextManager[Span]:
        """Begin a span; `headers` of who asks may say what it is part of."""

    def current(self) -> Span:
        """Return the span under way."""

    def ids(self) -> tuple[str, str]:
        """Return the ids of the trace and the span that are under way, in hex; empty for none."""

    def outgoing(self) -> dict[str, str]:
        """Return the headers by which who is asked knows what it is part of."""


class _Nothing:
    """A span while nobody watches."""

    __slots__ = ()

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def name(self, name: str) -> None:
        """Nobody watches."""

    def note(self, key: str, value: Word) -> None:
        """Nobody watches."""

    def failed(self, kind: str) -> None:
        """Nobody watches."""


_NOTHING: Final = _Nothing()
_NO_NOTES: Final[Mapping[str, Word]] = {}
_tracer: Tracer | None = None


def watch_by(tracer: Tracer | None) -> None:
    """Have spans made from now on; None: no more."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    """Tell whether spans are made."""
    return _tracer is not None


def span(
    name: str, kind: Kind = "inside", notes: Mapping[str, Word] = _NO_NOTES, headers: Mapping[str, str] | None = None
) -> AbstractContextManager[Span]:
    """Make a span of what the context does."""
    return _NOTHING if _tracer is None else _tracer.span(name, kind, notes, headers)


def current() -> Span:
    """Return the span under way."""
    return _NOTHING if _tracer is None else _tracer.current()


def ids() -> tuple[str, str]:
    """Return the ids of the trace and the span that are under way, in hex; empty for none."""
    return ("", "") if _tracer is None else _tracer.ids()


def outgoing() -> dict[str, str]:
    """Return the headers by which another server knows what a call to it is part of; none while traces are off.

    Spec: https://www.w3.org/TR/trace-context/#traceparent-header
    """
    return {} if _tracer is None else _tracer.outgoing()
