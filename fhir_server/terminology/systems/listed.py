"""A code system whose concepts are few enough to be held in memory: a list, flat or with parents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fhir_server.terminology import filters as generic
from fhir_server.terminology.code_system import Concept, Filter, Header
from fhir_server.terminology.text_search import found


class Listed:
    """The CodeSystem of a list.

    Args:
        concepts: by code (in lower case where the system is not case sensitive), in the order of definition.
        parents: of those concepts that are below another, its code.
    """

    def __init__(self, header: Header, concepts: Iterable[Concept], parents: Mapping[str, str] | None = None) -> None:
        self.header = header
        self._concepts = {self._key(concept.code): concept for concept in concepts}
        self._parents = parents or {}
        self._children: dict[str, list[str]] = {}
        for child, parent in self._parents.items():
            self._children.setdefault(parent, []).append(child)

    def _key(self, code: str) -> str:
        return code if self.header.case_sensitive else code.lower()

    def concept(self, code: str) -> Concept | None:
        """Return a concept."""
        return self._concepts.get(self._key(code))

    def codes(self) -> Iterator[str]:
        """Yield all codes."""
        return (concept.code for concept in self._concepts.values())

    def count(self, filters: Sequence[Filter] = (), text: str = "") -> int | None:
        """Return how many codes `select` would yield."""
        return sum(1 for _ in self.select(filters, text)) if filters or text else len(self._concepts)

    def _own(self, code: str) -> str:
        concept = self.concept(code)
        return concept.code if concept else ""

    def parents(self, code: str) -> Sequence[str]:
        """Return the code right above."""
        parent = self._parents.get(self._own(code))
        return (parent,) if parent else ()

    def children(self, code: str) -> Sequence[str]:
        """Return the codes right below."""
        return self._children.get(self._own(code), ())

    def roots(self) -> Iterable[str]:
        """Return the codes that nothing is above."""
        return (code for code in self.codes() if code not in self._parents)

    def ancestors(self, code: str) -> Iterable[str]:
        """Return all codes above."""
        for parent in self.parents(code):
            yield parent
            yield from self.ancestors(parent)

    def descendants(self, code: str) -> Iterable[str]:
        """Return all codes below."""
        for child in self.children(code):
            yield child
            yield from self.descendants(child)

    def subsumes(self, above: str, below: str) -> bool:
        """Tell whether one code is above the other, or is the same."""
        upper, lower = self._own(above), self._own(below)
        return bool(upper and lower) and (upper == lower or upper in self.ancestors(lower))

    def select(self, filters: Sequence[Filter], text: str = "") -> Iterator[str]:
        """Yield the codes that all filters hold for."""
        codes = generic.selected(self, filters) if filters else self.codes()
        return found(self, codes, text) if text else codes

    def matches(self, code: str, filter_: Filter) -> bool:
        """Tell whether one filter holds for a code."""
        return self.concept(code) is not None and generic.matches(self, code, filter_)

    def verify(self, filter_: Filter) -> None:
        """Raise BadValue where the filter is not supported."""
        generic.verify(self, filter_)
