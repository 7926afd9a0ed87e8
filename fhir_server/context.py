"""Context: all that an interaction or operation needs, passed in; nothing below dispatch knows more than this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fhir_server.definitions import Definitions
    from fhir_server.model.exchange import FhirRequest, FhirResponse
    from fhir_server.model.keys import ResourceKey
    from fhir_server.search.parameters import ParameterRegistry
    from fhir_server.search.query import Visibility
    from fhir_server.settings import Settings
    from fhir_server.storage.base import Change, Store
    from fhir_server.terminology import Terminology
    from fhir_server.validation import Validator


class Restriction(Protocol):
    """What one caller may see and do; a predicate joined inside every query, made once in dispatch."""

    @property
    def visibility(self) -> Visibility:
        """The predicate by type for queries."""

    def may(self, interaction: str, type_: str | None) -> bool:
        """Tell whether the interaction is allowed on the type at all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the audit names them; `admin` may see plans and erase."""

    name: str = "anonymous"
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One write of a transaction, planned but not committed: the change and the response that follows from its
    outcome."""

    changes: tuple[Change, ...]
    key: ResourceKey | None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the server as one request sees them.

    now: milliseconds since 1970 UTC. new_id: a fresh logical id. execute: run another request as this caller
    (a batch entry). parameters: the search parameters in force, custom ones included.
    """

    store: Store
    settings: Settings
    definitions: Definitions
    parameters: ParameterRegistry
    validator: Validator
    terminology: Terminology
    caller: Caller
    restriction: Restriction
    now: Callable[[], int]
    new_id: Callable[[], str]
    execute: Callable[[FhirRequest], Awaitable[FhirResponse]]
