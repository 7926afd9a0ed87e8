"""What the service asks of a code system, however it is held: a resource, a grammar, a database.

Spec: https://hl7.org/fhir/R4/codesystem.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Designation:
    """Another way to say a concept; `use` is a Coding."""

    value: str
    language: str = ""
    use: Json | None = None
    extension: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a concept; `kind` is the name of its member in JSON (`valueCode`), `value` what stands there."""

    code: str
    kind: str
    value: Any

    @property
    def text(self) -> str:
        """Return the value as a filter writes it: of a Coding its code, `true` and `false` of booleans."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, Mapping):
            code = self.value.get("code")
            return code if isinstance(code, str) else ""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept.

    Attributes:
        code: as the system writes it.
        display: the preferred one, in the language of the system.
        abstract: it groups others and is not to be chosen (`notSelectable`).
        inactive: it is not to be used any more.
        status: the value of its `status` property (`retired`, `deprecated` ...), or empty.
        extension: extensions of the concept.
    """

    code: str
    display: str = ""
    definition: str = ""
    designations: Sequence[Designation] = ()
    properties: Sequence[Property] = ()
    abstract: bool = False
    inactive: bool = False
    status: str = ""
    extension: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class PropertyDefinition:
    """What CodeSystem.property declares; `type` is code, Coding, string, integer, boolean, dateTime or decimal."""

    code: str
    uri: str = ""
    description: str = ""
    type: str = "code"


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of ValueSet.compose.

    Spec: https://hl7.org/fhir/R4/valueset-filter-operator.html
    """

    property: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Header:
    """What is to be known of a code system besides its concepts.

    Attributes:
        content: complete, fragment, example, supplement or not-present.
        value_set: the canonical URL of the value set of all its codes.
        supplements: the canonical URL of the system that it adds to.
        hierarchy: its concepts subsume one another, or group one another.
        compositional: codes may be built by a grammar (post-coordination), so no list of them is ever whole.
        standards_status: the extension structuredefinition-standards-status.
        versions: the algorithm by which versions compare (`semver`, `date` ...), where the resource says one.
    """

    url: str
    version: str = ""
    id: str = ""
    name: str = ""
    title: str = ""
    status: str = "active"
    experimental: bool = False
    content: str = "complete"
    case_sensitive: bool = True
    value_set: str = ""
    supplements: str = ""
    language: str = ""
    hierarchy: bool = False
    compositional: bool = False
    standards_status: str = ""
    versions: str = ""
    properties: Sequence[PropertyDefinition] = ()
    description: str = ""
    copyright: str = ""


class CodeSystem(Protocol):
    """A code system of one version. All calls are synchronous and may come from several threads.

    Codes that are given may be written in any case where the system is not case sensitive; codes that are answered are
    written as the system does. An unknown code has no parents, children, ancestors or descendants.
    """

    @property
    def header(self) -> Header:
        """Return what is to be known besides the concepts."""

    def concept(self, code: str, /) -> Concept | None:
        """Return a concept; None if there is no such code. It is the hot road: microseconds, at most a look-up."""

    def codes(self) -> Iterator[str]:
        """Yield all codes in the order of definition.

        Raises:
            TooCostly: they cannot be listed (a grammar has endless codes).
        """

    def count(self, filters: Sequence[Filter] = (), text: str = "") -> int | None:
        """Return how many codes `select` would yield; None where that is not known without listing them."""

    def parents(self, code: str, /) -> Sequence[str]:
        """Return the codes right above."""

    def children(self, code: str, /) -> Sequence[str]:
        """Return the codes right below, in the order of definition."""

    def roots(self) -> Iterable[str]:
        """Return the codes that nothing is above, in the order of definition."""

    def ancestors(self, code: str, /) -> Iterable[str]:
        """Return all codes above, the code itself left out."""

    def descendants(self, code: str, /) -> Iterable[str]:
        """Return all codes below, the code itself left out."""

    def subsumes(self, above: str, below: str, /) -> bool:
        """Tell whether one code is above the other, or is the same."""

    def select(self, filters: Sequence[Filter], text: str = "", /) -> Iterator[str]:
        """Yield the codes that all filters hold for, lazily where it can be, in the order of definition.

        With a text, those alone of which a display or designation holds it, best first.

        Raises:
            BadValue: an operator or property that is not supported; the message names it.
            TooCostly: it cannot be done in bounded work.
        """

    def matches(self, code: str, filter_: Filter, /) -> bool:
        """Tell whether one filter holds for a code, by look-up rather than by listing. Raises as `select`."""

    def verify(self, filter_: Filter, /) -> None:
        """Raise BadValue where the filter is not one that this system takes (the value of a hierarchy filter is no
        code, the operator is not supported ...)."""


class SystemProvider(Protocol):
    """Finds the code systems that are not resources of a library: grammars, and large ones held in a database."""

    def find(self, url: str, version: str = "", /) -> CodeSystem | None:
        """Return a system; of several versions, where none is named, the latest."""

    def versions(self, url: str, /) -> Sequence[str]:
        """Return the versions that there are of a system, the latest first; empty if there is none."""

    def urls(self) -> Iterable[str]:
        """Return the URL of every system."""

    def value_set(self, url: str, /) -> Json | None:
        """Return an implicit value set as a ValueSet with a compose (`http://snomed.info/sct?fhir_vs=isa/138875005`,
        `http://loinc.org/vs/LL715-4`); None if the URL is not that of one."""


class NoSystems:
    """A provider of nothing."""

    def find(self, _url: str, _version: str = "") -> CodeSystem | None:
        """Return None."""
        return None

    def versions(self, _url: str) -> Sequence[str]:
        """Return nothing."""
        return ()

    def urls(self) -> Iterable[str]:
        """Return nothing."""
        return ()

    def value_set(self, _url: str) -> Json | None:
        """Return None."""
        return None


class Systems:
    """Several providers as one; the first that has a system answers."""

    def __init__(self, *providers: SystemProvider) -> None:
        self._providers = providers

    def find(self, url: str, version: str = "") -> CodeSystem | None:
        """Return what the first provider finds."""
        found = (provider.find(url, version) for provider in self._providers)
        return next((system for system in found if system is not None), None)

    def versions(self, url: str) -> Sequence[str]:
        """Return the versions of the first provider that has the system."""
        return next((found for provider in self._providers if (found := provider.versions(url))), ())

    def urls(self) -> Iterable[str]:
        """Return the URLs of all, each once."""
        return dict.fromkeys(url for provider in self._providers for url in provider.urls())

    def value_set(self, url: str) -> Json | None:
        """Return what the first provider finds."""
        found = (provider.value_set(url) for provider in self._providers)
        return next((resource for resource in found if resource is not None), None)
