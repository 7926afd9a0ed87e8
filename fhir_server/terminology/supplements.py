"""A code system with what supplements add to it: designations, properties, extensions.

Spec: https://hl7.org/fhir/R4/codesystem.html#supplements
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fhir_server.terminology.code_system import CodeSystem, Concept, Filter, Header, Json
from fhir_server.terminology.members import text
from fhir_server.terminology.resource_system import ResourceSystem


class SupplementedSystem:
    """A CodeSystem that is another one with supplements over it."""

    def __init__(self, base: CodeSystem, supplements: Sequence[ResourceSystem]) -> None:
        self._base = base
        self.supplements = supplements
        added = [each for supplement in supplements for each in supplement.header.properties]
        own = {each.code for each in base.header.properties}
        properties = [*base.header.properties, *(each for each in added if each.code not in own)]
        self.header: Header = replace(base.header, properties=tuple(properties))

    def concept(self, code: str, /) -> Concept | None:
        """Return a concept with what supplements add."""
        concept = self._base.concept(code)
        for supplement in self.supplements if concept is not None else ():
            added = supplement.concept(concept.code) if concept else None
            if concept is not None and added is not None:
                concept = _merged(concept, added, supplement.header.language)
        return concept

    def codes(self) -> Iterator[str]:
        """Yield the codes of the system itself."""
        return self._base.codes()

    def count(self, filters: Sequence[Filter] = (), text: str = "", /) -> int | None:
        """Return how many codes there are."""
        return self._base.count(filters, text)

    def parents(self, code: str, /) -> Sequence[str]:
        """Return the codes right above."""
        return self._base.parents(code)

    def children(self, code: str, /) -> Sequence[str]:
        """Return the codes right below."""
        return self._base.children(code)

    def roots(self) -> Iterable[str]:
        """Return the codes that nothing is above."""
        return self._base.roots()

    def ancestors(self, code: str, /) -> Iterable[str]:
        """Return all codes above."""
        return self._base.ancestors(code)

    def descendants(self, code: str, /) -> Iterable[str]:
        """Return all codes below."""
        return self._base.descendants(code)

    def subsumes(self, above: str, below: str, /) -> bool:
        """Tell whether one code is above the other, or is the same."""
        return self._base.subsumes(above, below)

    def select(self, filters: Sequence[Filter], text: str = "", /) -> Iterator[str]:
        """Yield the codes that all filters hold for."""
        return self._base.select(filters, text)

    def matches(self, code: str, filter_: Filter, /) -> bool:
        """Tell whether a filter holds for a code."""
        return self._base.matches(code, filter_)

    def verify(self, filter_: Filter, /) -> None:
        """Raise BadValue for a filter that has no meaning here."""
        self._base.verify(filter_)


def _merged(concept: Concept, added: Concept, language: str) -> Concept:
    urls = {text(each, "url") for each in added.extension}
    kept: list[Json] = [each for each in concept.extension if text(each, "url") not in urls]
    designations = [
        each if each.language or not language else replace(each, language=language) for each in added.designations
    ]
    return replace(
        concept,
        designations=(*concept.designations, *designations),
        properties=(*concept.properties, *added.properties),
        extension=(*kept, *added.extension),
    )
