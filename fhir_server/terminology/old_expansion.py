"""Expanding a value set into its codes: includes, excludes, filters, imports, or an expansion that it came with.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

from fhir_server.errors import BadValue, TooCostly
from fhir_server.packages import Entry, Library
from fhir_server.search.query import TokenValue
from fhir_server.terminology.members import part, parts, text, texts
from fhir_server.terminology.standard import standard_value_set
from fhir_server.terminology.tree import CodeTree
from fhir_server.terminology.tree_filters import selected

Codes = Mapping[TokenValue, None]
"""An ordered set. A TokenValue without code stands for all codes of its system, where nobody can list them."""

Trees = Callable[[str], CodeTree | None]

MOST_WORK = 1_000_000
"""Codes that one expansion may look at."""

DEEPEST = 50
"""Value sets that may import one another in a row."""


class Expansion:
    """One evaluation; what was expanded on the way is kept, and what is too much work is cut off.

    Args:
        trees: gives the code system of a canonical URL.
    """

    def __init__(self, library: Library, trees: Trees) -> None:
        self._library = library
        self._trees = trees
        self._done: dict[str, Codes] = {}
        self._within: list[str] = []
        self._left = MOST_WORK

    def codes(self, canonical: str) -> Codes:
        """Return the codes of a value set.

        Raises:
            BadValue: there is no such value set, it imports itself, or it needs what is not known here.
            TooCostly: it would take too much work.
        """
        entry = self._library.find("ValueSet", canonical)
        if entry is None:
            return self._spent(_standard(canonical))
        if entry.name not in self._done:
            self._done[entry.name] = self._expanded(entry, canonical)
        return self._spent(self._done[entry.name])

    def _expanded(self, entry: Entry, canonical: str) -> Codes:
        if entry.name in self._within:
            raise BadValue(f"the value set {canonical[:200]!r} imports itself")
        if len(self._within) >= DEEPEST:
            raise TooCostly(f"the value set {canonical[:200]!r} is imported by way of more than {DEEPEST} others")
        self._within.append(entry.name)
        try:
            return self._evaluated(entry.parse(), canonical)
        finally:
            self._within.pop()

    def _evaluated(self, resource: Mapping[str, Any], canonical: str) -> Codes:
        listed = _listed(resource)
        compose = part(resource, "compose")
        if not parts(compose, "include"):
            if listed is None:
                raise BadValue(
                    f"the value set {canonical[:200]!r} says neither what it includes nor its whole expansion"
                )
            return listed
        try:
            return self._composed(compose)
        except BadValue:
            if listed is None:
                raise
            return listed

    def _composed(self, compose: Mapping[str, Any]) -> Codes:
        found: dict[TokenValue, None] = {}
        for item in parts(compose, "include"):
            found |= self._included(item)
        return reduce(_without, (self._included(item) for item in parts(compose, "exclude")), found)

    def _included(self, item: Mapping[str, Any]) -> Codes:
        """Return what all that one include or exclude names have in common."""
        sets = [self.codes(canonical) for canonical in texts(item, "valueSet")]
        if text(item, "system"):
            sets.append(self._spent(self._of_system(item, text(item, "system"))))
        if not sets:
            raise BadValue("a value set includes something without saying of which system or value set")
        return reduce(_common, sets)

    def _of_system(self, item: Mapping[str, Any], system: str) -> Codes:
        if "concept" in item:
            return {TokenValue(system, text(concept, "code")): None for concept in parts(item, "concept")}
        tree = self._tree(system, text(item, "version"))
        filters = parts(item, "filter")
        if not filters:
            return _whole(system, tree)
        if tree is None:
            raise BadValue(f"the codes of the system {system[:200]!r} are not known here")
        codes = set(tree.properties)
        for filter_ in filters:
            self._spend(len(tree.properties))
            codes &= set(selected(tree, filter_))
        return {TokenValue(system, code): None for code in sorted(codes)}

    def _tree(self, system: str, version: str) -> CodeTree | None:
        return (self._trees(f"{system}|{version}") if version else None) or self._trees(system)

    def _spent(self, codes: Codes) -> Codes:
        self._spend(len(codes))
        return codes

    def _spend(self, work: int) -> None:
        self._left -= work + 1
        if self._left < 0:
            raise TooCostly(f"to expand the value set, more than {MOST_WORK} codes have to be looked at")


def _standard(canonical: str) -> Codes:
    codes = standard_value_set(canonical)
    if codes is None:
        raise BadValue(f"there is no value set {canonical[:200]!r} here")
    return codes


def _whole(system: str, tree: CodeTree | None) -> Codes:
    if tree is None or not tree.complete:
        return {TokenValue(system, None): None}
    return {TokenValue(system, code): None for code in tree.properties}


def _whole_systems(codes: Codes) -> set[str | None]:
    return {value.system for value in codes if value.code is None}


def _common(one: Codes, other: Codes) -> Codes:
    of_one, of_other = _whole_systems(one), _whole_systems(other)
    kept = {value: None for value in one if value in other or value.system in of_other}
    return kept | {value: None for value in other if value.system in of_one}


def _without(codes: Codes, excluded: Codes) -> Codes:
    gone = _whole_systems(excluded)
    left = {value: None for value in codes if value not in excluded and value.system not in gone}
    unlisted = _whole_systems(left)
    for value in excluded:
        if value.system in unlisted:
            raise BadValue(f"the codes of the system {str(value.system)[:200]!r}, less some, are not known here")
    return left


def _listed(resource: Mapping[str, Any]) -> Codes | None:
    """Return the codes of the expansion that a value set came with; None if it is absent or a part of the whole."""
    expansion = part(resource, "expansion")
    if not expansion:
        return None
    codes = {
        TokenValue(text(item, "system"), text(item, "code")): None
        for item in _contained(expansion)
        if text(item, "code") and item.get("abstract") is not True
    }
    total = expansion.get("total")
    return None if isinstance(total, int) and total > len(codes) else codes


def _contained(expansion: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = parts(expansion, "contains")[::-1]
    while waiting:
        item = waiting.pop()
        yield item
        waiting += parts(item, "contains")[::-1]
