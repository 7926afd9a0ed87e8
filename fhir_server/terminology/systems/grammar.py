"""Code systems that are grammars: every code that can be parsed is one, so there is no list of all of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from fhir_server.errors import TooCostly
from fhir_server.terminology import filters as generic
from fhir_server.terminology.code_system import Concept, Filter, Header
from fhir_server.terminology.text_search import found


class Grammar:
    """The CodeSystem of a grammar.

    Args:
        read: gives the concept of a code, or None if the grammar does not allow it.
        common: the usual codes, which stand for the endless rest where a few have to be shown (filters, texts).
        test: tells whether a filter of this system's own holds for a code; None of other filters.
    """

    def __init__(
        self,
        header: Header,
        read: Callable[[str], Concept | None],
        common: Callable[[], Iterable[str]] = tuple,
        test: Callable[[str, Filter], bool | None] = lambda code, filter_: None,
    ) -> None:
        self.header = header
        self._read = read
        self._common = common
        self._test = test

    def concept(self, code: str) -> Concept | None:
        """Return what a code says."""
        return self._read(code)

    def codes(self) -> Iterator[str]:
        """Refuse.

        Raises:
            TooCostly: always.
        """
        raise TooCostly(f"the codes of {self.header.url} are those of a grammar: there is no end of them")

    def count(self, filters: Sequence[Filter] = (), text: str = "") -> int | None:
        """Return None: nobody knows."""
        return None

    def parents(self, code: str) -> Sequence[str]:
        """Return nothing: there is no hierarchy."""
        return ()

    def children(self, code: str) -> Sequence[str]:
        """Return nothing: there is no hierarchy."""
        return ()

    def roots(self) -> Iterable[str]:
        """Return nothing."""
        return ()

    def ancestors(self, code: str) -> Iterable[str]:
        """Return nothing: there is no hierarchy."""
        return ()

    def descendants(self, code: str) -> Iterable[str]:
        """Return nothing: there is no hierarchy."""
        return ()

    def subsumes(self, above: str, below: str) -> bool:
        """Tell whether both are one code."""
        one, other = self._read(above), self._read(below)
        return one is not None and other is not None and one.code == other.code

    def select(self, filters: Sequence[Filter], text: str = "") -> Iterator[str]:
        """Yield those of the common codes that all filters hold for.

        Raises:
            BadValue: an operator or property that is not supported.
            TooCostly: nothing narrows the codes down, or there are no common ones.
        """
        for filter_ in filters:
            self.verify(filter_)
        common = tuple(self._common())
        if not common or not (filters or text):
            return self.codes()
        codes = (code for code in common if all(self.matches(code, filter_) for filter_ in filters))
        return found(self, codes, text) if text else codes

    def matches(self, code: str, filter_: Filter) -> bool:
        """Tell whether one filter holds for a code."""
        own = self._test(code, filter_)
        return own if own is not None else self.concept(code) is not None and generic.matches(self, code, filter_)

    def verify(self, filter_: Filter) -> None:
        """Raise BadValue where the filter is not supported."""
        generic.verify(self, filter_)
