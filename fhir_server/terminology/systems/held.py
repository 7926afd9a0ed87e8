"""A code system held in a file, as the service sees it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar, overload

from fhir_server.model.json import decode
from fhir_server.terminology.code_system import Concept, Designation, Filter, Header, Property
from fhir_server.terminology.systems.intervals import Intervals
from fhir_server.terminology.systems.selection import numbers_of, numbers_with_text
from fhir_server.terminology.systems.store import Row, Store

T = TypeVar("T")

_RANKED = 2_000
"""Most matches of a text that are sorted; of more, nobody looks for the best one in that list."""
_FILTERS_KEPT = 128


class Held:
    """The CodeSystem of a file.

    Attributes:
        stamp: another one for every file, so that what was worked out can be kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.header: Header = store.header
        self.stamp: str = store.stamp
        self._numbers = lru_cache(_FILTERS_KEPT)(lambda filter_: numbers_of(store, filter_))

    def concept(self, code: str) -> Concept | None:
        """Return a concept; what is rarely asked for is read when it is."""
        row = self._store.row(code)
        return None if row is None else self._concept(row)

    def _concept(self, row: Row) -> Concept:
        store = self._store
        number, code, display, inactive, abstract, status, definition = row
        return Concept(
            code,
            display,
            definition,
            _Late(lambda: [_designation(each) for each in store.designations(number)]),
            _Late(lambda: [_property(each) for each in store.properties(number)]),
            bool(abstract),
            bool(inactive),
            status,
        )

    def codes(self) -> Iterator[str]:
        """Yield all codes, parents before children."""
        return self._store.codes(self._store.all())

    def count(self, filters: Sequence[Filter] = (), text: str = "") -> int | None:
        """Return how many codes `select` would yield."""
        return len(self._selected(filters, text))

    def parents(self, code: str) -> Sequence[str]:
        """Return the codes right above."""
        return self._near(code, self._store.parents)

    def children(self, code: str) -> Sequence[str]:
        """Return the codes right below."""
        return self._near(code, self._store.children)

    def _near(self, code: str, step: Callable[[Intervals], Intervals]) -> Sequence[str]:
        return list(self._store.codes(step(self._store.numbers([code]))))

    def roots(self) -> Iterable[str]:
        """Return the codes that nothing is above."""
        return self._store.codes(self._store.roots())

    def ancestors(self, code: str) -> Iterable[str]:
        """Return all codes above."""
        own = self._store.numbers([code])
        return self._store.codes(self._store.above_all(own) - own)

    def descendants(self, code: str) -> Iterable[str]:
        """Return all codes below."""
        own = self._store.numbers([code])
        return self._store.codes(self._store.below_all(own) - own)

    def subsumes(self, above: str, below: str) -> bool:
        """Tell whether one code is above the other, or is the same."""
        upper, lower = self._store.number(above), self._store.number(below)
        return upper is not None and lower is not None and lower in self._store.below(upper)

    def select(self, filters: Sequence[Filter], text: str = "") -> Iterator[str]:
        """Yield the codes that all filters hold for."""
        found = self._selected(filters, text)
        if text and len(found) <= _RANKED:
            return iter(self._store.best_first(found, text))
        return self._store.codes(found)

    def _selected(self, filters: Sequence[Filter], text: str) -> Intervals:
        found = self._store.all()
        for filter_ in filters:
            found = found & self._numbers(filter_)
        return numbers_with_text(self._store, text) & found if text else found

    def matches(self, code: str, filter_: Filter) -> bool:
        """Tell whether a filter holds for a code; the codes of a filter are worked out once."""
        number = self._store.number(code)
        return number is not None and number in self._numbers(filter_)

    def verify(self, filter_: Filter) -> None:
        """Raise BadValue where the filter is not one for this system."""
        self._numbers(filter_)


class _Late(Sequence[T]):
    """A sequence that is read when it is first looked at."""

    __slots__ = ("_items", "_read")

    def __init__(self, read: Callable[[], Sequence[T]]) -> None:
        self._read = read
        self._items: Sequence[T] | None = None

    def _all(self) -> Sequence[T]:
        if self._items is None:
            self._items = self._read()
        return self._items

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self._all()))


def _designation(row: Row) -> Designation:
    value, language, system, code, display, _dialects = row
    if not code:
        return Designation(value, language)
    use = {"system": system, "code": code, "display": display}
    return Designation(value, language, {name: text for name, text in use.items() if text})


_READERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "integer": int,
    "decimal": Decimal,
    "Coding": lambda text: decode(text.encode()),
}


def _property(row: Row) -> Property:
    name, type_, text, _group = row
    read = _READERS.get(type_)
    return Property(name, f"value{type_[:1].upper()}{type_[1:]}", read(text) if read else text)
