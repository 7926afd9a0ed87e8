"""What a loader hands over: a code system as streams of plain tuples, so that a large one is never held whole."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from fhir_server.terminology.code_system import Header


class SourceConcept(NamedTuple):
    """One concept."""

    code: str
    display: str = ""
    definition: str = ""
    inactive: bool = False
    abstract: bool = False
    status: str = ""


class SourceDesignation(NamedTuple):
    """Another way to say a concept. `dialects` names the language reference sets that take it as preferred."""

    code: str
    value: str
    language: str = ""
    use_system: str = ""
    use_code: str = ""
    use_display: str = ""
    dialects: str = ""


class SourceProperty(NamedTuple):
    """One property; a `code` that is a concept of the system becomes a relation to it. `group` is a role group."""

    code: str
    name: str
    value: str
    type: str = "string"
    group: int = 0


class Source(Protocol):
    """A code system to be held. Each stream is asked for once, in this order."""

    header: Header
    """Its properties are those declared; others are added as they come."""
    kind: str
    """What knows its implicit value sets and filters: `snomed`, `loinc`, `rxnorm`, or empty."""

    def codes(self) -> Iterator[str]:
        """Yield every code, in the order of definition."""

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield `(child, parent)`."""

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every concept once."""

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield the designations of concepts, in their order."""

    def properties(self) -> Iterator[SourceProperty]:
        """Yield the properties."""

    def members(self) -> Iterator[tuple[str, str]]:
        """Yield `(reference set or list, code)`."""


class Plain:
    """The streams that a simple source does not have."""

    kind = ""

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield nothing."""
        return iter(())

    def properties(self) -> Iterator[SourceProperty]:
        """Yield nothing."""
        return iter(())

    def members(self) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())
