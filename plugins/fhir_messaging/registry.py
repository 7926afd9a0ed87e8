"""The events that plugins process, and the named service `message-events` by which they say so."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Category = Literal["consequence", "currency", "notification"]
CATEGORIES: Final = ("consequence", "currency", "notification")


@dataclass(frozen=True, slots=True)
class MessageCall:
    """A message to be processed. resources: all but the header, by fullUrl; focus: those that the header names."""

    tenant: str
    event: str
    header: Mapping[str, Any]
    resources: Mapping[str, Mapping[str, Any]]
    focus: Sequence[Mapping[str, Any]]
    client: Any


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What comes of a message: entries of a transaction that are written with the response, all or nothing, and the
    resources that the response is about."""

    entries: Sequence[Mapping[str, Any]] = ()
    response: Sequence[Mapping[str, Any]] = ()


Handler = Callable[[MessageCall], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Event:
    """An event that can be processed; without a handler the resources of its messages are stored."""

    event: str
    category: Category = "consequence"
    handler: Handler | None = None
    focus: Sequence[Mapping[str, Any]] = field(default=())


class Registry:
    """What other plugins get as `message-events`."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}

    def add(self, event: str, handler: Handler, *, category: Category = "consequence") -> None:
        """Process an event; call it in `on_start`.

        Args:
            event: `system|code`, or a URI.
            handler: async; takes a MessageCall and returns None, or a dict: `entries` of a transaction that are
                written in the commit that notes the message, and `response`, the resources of the response.

        Raises:
            ValueError: somebody processes it already, or there is no such category.
        """
        if event in self._events:
            raise ValueError(f"message event {event!r} is processed already")
        if category not in CATEGORIES:
            raise ValueError(f"message event {event!r}: category is one of {', '.join(CATEGORIES)}")
        self._events[event] = Event(event, category, handler)

    def find(self, event: str) -> Event | None:
        """Return an event."""
        return self._events.get(event)
