"""The services that plugins add, and the named service `cds-services` by which they do it."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fhir_server.plugin_api import Client

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HOOK: Final = re.compile(r"[a-z][a-z0-9-]{0,99}")


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a service.

    client: FHIR under the token that the CDS client gave, where its FHIR server is ours; else None.
    issuer: who calls, by the `iss` of their token; empty where nobody is asked.
    """

    tenant: str
    hook: str
    hook_instance: str
    context: Mapping[str, Any]
    prefetch: Mapping[str, Any]
    fhir_server: str = ""
    extension: Mapping[str, Any] = field(default_factory=dict)
    client: Client | None = None
    issuer: str = ""


Answer = Sequence[Mapping[str, Any]] | Mapping[str, Any]
Handler = Callable[[HookCall], Awaitable[Answer]]


class FeedbackHandler(Protocol):
    """Is told what users did with the cards of a service."""

    async def __call__(self, tenant: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Take the items of one call of the feedback endpoint."""


@dataclass(frozen=True, slots=True)
class Service:
    """One CDS service; `optional` names the prefetch without which it can work."""

    id: str
    hook: str
    description: str
    handler: Handler
    title: str = ""
    prefetch: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    usage_requirements: str = ""
    on_feedback: FeedbackHandler | None = None

    def shown(self) -> dict[str, Any]:
        """Return the service as discovery has it."""
        found: dict[str, Any] = {"hook": self.hook, "id": self.id, "description": self.description}
        if self.title:
            found["title"] = self.title
        if self.prefetch:
            found["prefetch"] = dict(self.prefetch)
        if self.usage_requirements:
            found["usageRequirements"] = self.usage_requirements
        return found


class Registry:
    """What other plugins get as `cds-services`."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}

    def add(
        self,
        id: str,
        *,
        hook: str,
        description: str,
        handler: Handler,
        **more: Any,
    ) -> None:
        """Add a service; call it in `on_start`.

        Args:
            id: the last part of its URL. hook: when it is called: `patient-view`.
            handler: async; takes the HookCall and returns cards, or a dict of `cards` and `systemActions`.
            more: title; prefetch (templates by key); optional (keys of it without which the service can work);
                usage_requirements; on_feedback (async, takes tenant and items).

        Raises:
            ValueError: the id is taken, or something has not the form of the specification.
        """
        if not _ID.fullmatch(id) or not _HOOK.fullmatch(hook):
            raise ValueError(f"CDS service {id!r}: id and hook are words of letters, digits and hyphens")
        if id in self._services:
            raise ValueError(f"CDS service {id!r} is there already")
        optional = frozenset(more.pop("optional", ()))
        service = Service(id, hook, description, handler, optional=optional, **more)
        if unknown := optional - set(service.prefetch):
            raise ValueError(f"CDS service {id!r}: optional names prefetch that there is not: {sorted(unknown)}")
        self._services[id] = service

    def find(self, id: str) -> Service | None:
        """Return a service."""
        return self._services.get(id)

    def shown(self) -> list[dict[str, Any]]:
        """Return all services as discovery has them, in the order of their ids."""
        return [service.shown() for _, service in sorted(self._services.items())]
