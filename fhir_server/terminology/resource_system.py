"""A code system held in memory, as a CodeSystem resource says it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from fhir_server.terminology import filters
from fhir_server.terminology.code_system import Concept, Filter, Header, Json
from fhir_server.terminology.concepts import closure, read_concepts, read_header
from fhir_server.terminology.text_search import found, words_of
from fhir_server.terminology.word_index import WordIndex

_NONE: Sequence[str] = ()


class ResourceSystem:
    """A CodeSystem over a CodeSystem resource.

    Args:
        data: the bytes of the resource, by which a changed one is told.
        index: gives the index of the words of a large system; without it, texts are looked for in every concept.
    """

    def __init__(
        self, resource: Json, data: bytes = b"", index: "Callable[[ResourceSystem], WordIndex] | None" = None
    ) -> None:
        self._data, self._index = data, index
        self.header: Header = read_header(resource)
        read = read_concepts(resource)
        self._concepts = read.concepts
        self._parents = read.parents
        self._children = read.children
        self._folded = {} if self.header.case_sensitive else {code.casefold(): code for code in self._concepts}

    @cached_property
    def stamp(self) -> str:
        """Return what changes when the resource does."""
        return hashlib.sha256(self._data).hexdigest() if self._data else ""

    @property
    def size(self) -> int:
        """Return how many concepts there are."""
        return len(self._concepts)

    def concepts(self) -> Iterable[Concept]:
        """Return all concepts in the order of definition."""
        return self._concepts.values()

    def concept(self, code: str, /) -> Concept | None:
        """Return a concept, whatever case its code is written in where the system does not mind."""
        concept = self._concepts.get(code)
        if concept is None and self._folded:
            concept = self._concepts.get(self._folded.get(code.casefold(), ""))
        return concept

    def codes(self) -> Iterator[str]:
        """Yield all codes in the order of definition."""
        return iter(self._concepts)

    def count(self, filters: Sequence[Filter] = (), text: str = "", /) -> int | None:
        """Return how many codes there are; None where they would have to be looked through."""
        if text and self._index is not None:
            return len(self._by_index(filters, text, self._index))
        return None if filters or text else len(self._concepts)

    def parents(self, code: str, /) -> Sequence[str]:
        """Return the codes right above."""
        return self._parents.get(self._written(code), _NONE)

    def children(self, code: str, /) -> Sequence[str]:
        """Return the codes right below."""
        return self._children.get(self._written(code), _NONE)

    def roots(self) -> Iterable[str]:
        """Return the codes that nothing is above."""
        return [code for code in self._concepts if code not in self._parents]

    def ancestors(self, code: str, /) -> Iterable[str]:
        """Return all codes above."""
        own = self._written(code)
        return (each for each in closure((own,), self._parents) if each != own)

    def descendants(self, code: str, /) -> Iterable[str]:
        """Return all codes below."""
        own = self._written(code)
        return (each for each in closure((own,), self._children) if each != own)

    def subsumes(self, above: str, below: str, /) -> bool:
        """Tell whether one code is above the other, or is the same."""
        one, other = self._written(above), self._written(below)
        return one in self._concepts and (one == other or one in closure((other,), self._parents))

    def select(self, filters_: Sequence[Filter], text: str = "", /) -> Iterator[str]:
        """Yield the codes that all filters hold for."""
        if text and self._index is not None:
            return iter(self._by_index(filters_, text, self._index))
        selected = filters.selected(self, filters_) if filters_ else iter(self._concepts)
        return found(self, selected, text) if text else selected

    def _by_index(
        self, filters_: Sequence[Filter], text: str, index: "Callable[[ResourceSystem], WordIndex]"
    ) -> Sequence[str]:
        words = words_of(text)
        places = index(self).find(words) if words else range(len(self._codes))
        return filters.holding(self, [self._codes[place] for place in places], filters_)

    @cached_property
    def _codes(self) -> Sequence[str]:
        return list(self._concepts)

    def matches(self, code: str, filter_: Filter, /) -> bool:
        """Tell whether a filter holds for a code."""
        return filters.matches(self, code, filter_)

    def verify(self, filter_: Filter, /) -> None:
        """Raise BadValue for a filter that has no meaning here."""
        filters.verify(self, filter_)

    def _written(self, code: str) -> str:
        return code if code in self._concepts or not self._folded else self._folded.get(code.casefold(), code)
