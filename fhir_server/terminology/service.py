"""The terminology service of one tenant: value sets and hierarchies as lists of codes, for search."""

from collections.abc import Iterable, Sequence

from fhir_server.errors import BadValue, TooCostly
from fhir_server.packages import Library
from fhir_server.search.query import TokenValue
from fhir_server.terminology.expansion import Expansion
from fhir_server.terminology.standard import standard_tree
from fhir_server.terminology.tree import CodeTree, read_tree

_EMPTY = ("not-present", "supplement")
_MOST_EXPANSIONS = 200
_MOST_TREES = 50


class Terminology:
    """The CodeExpander over a library and the value sets of R4; a changed library gets a new one.

    Expansions and code systems are made when they are first asked for; a few are kept.

    Args:
        most: codes that one answer may have.
    """

    def __init__(self, library: Library, most: int) -> None:
        self.library = library
        self._most = most
        self._expansions: dict[str, Sequence[TokenValue]] = {}
        self._trees: dict[str, CodeTree] = {}

    def codes_in(self, value_set: str) -> Sequence[TokenValue]:
        """Return the codes of a value set by `url`, `url|version` or `ValueSet/123`.

        A system that nobody can list is one value without code.

        Raises:
            BadValue: there is no such value set, or it needs what is not known here.
            TooCostly: it has too many codes, or needs too much work.
        """
        if value_set not in self._expansions:
            found = self._limited(value_set, Expansion(self.library, self._tree).codes(value_set))
            if len(self._expansions) >= _MOST_EXPANSIONS:
                self._expansions.clear()
            self._expansions[value_set] = found
        return self._expansions[value_set]

    def ancestors(self, system: str, code: str) -> Sequence[TokenValue]:
        """Return the code itself and all that subsume it. Raises as `codes_in`."""
        return self._related(system, code, self._known(system, code).ancestors(code))

    def descendants(self, system: str, code: str) -> Sequence[TokenValue]:
        """Return the code itself and all that it subsumes. Raises as `codes_in`."""
        return self._related(system, code, self._known(system, code).descendants(code))

    def _related(self, system: str, code: str, codes: Iterable[str]) -> Sequence[TokenValue]:
        return self._limited(f"{system}|{code}", (TokenValue(system, each) for each in sorted(codes)))

    def _known(self, system: str, code: str) -> CodeTree:
        tree = self._tree(system)
        if tree is None:
            raise BadValue(f"the codes of the system {system[:200]!r} are not known here")
        if code not in tree:
            raise BadValue(f"the system {system[:200]!r} has no code {code[:200]!r}")
        return tree

    def _limited(self, asked: str, codes: Iterable[TokenValue]) -> Sequence[TokenValue]:
        found = tuple(codes)
        if len(found) > self._most:
            raise TooCostly(f"{asked[:200]!r} stands for {len(found)} codes; a search takes at most {self._most}")
        return found

    def _tree(self, system: str) -> CodeTree | None:
        entry = self.library.find("CodeSystem", system)
        if entry is None or entry.parse().get("content") in _EMPTY:
            return standard_tree(system)
        if entry.name not in self._trees:
            tree = read_tree(entry.parse())
            if len(self._trees) >= _MOST_TREES:
                self._trees.clear()
            self._trees[entry.name] = tree
        return self._trees[entry.name]
