"""Expansions that were made: kept in memory, the least used given up first."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from fhir_server.terminology.code_system import Header
from fhir_server.terminology.composition import Composition
from fhir_server.terminology.expansion import Expansion, Item
from fhir_server.terminology.scope import Scope

_MOST_ITEMS = 250_000


@dataclass(slots=True)
class Expanded:
    """All codes of a value set, or a page of them where `items` is None; and what they rest on. A total of None is not
    known.

    Attributes:
        versioned: URLs of the systems of which several versions are used, so that each code says its own.
        applied: version rules that made a difference, as (parameter, canonical).
        supplements: canonicals of the supplements that were used.
    """

    items: Sequence[Item] | None
    total: int | None
    seen: dict[tuple[str, str], tuple[Header | Composition, Composition]]
    versioned: frozenset[str]
    applied: Sequence[tuple[str, str]]
    supplements: Sequence[str]
    merged: bool
    page: Sequence[Item] = field(default=())

    @classmethod
    def of(
        cls,
        items: Sequence[Item] | None,
        total: int | None,
        expansion: Expansion,
        scope: Scope,
        composition: Composition,
    ) -> "Expanded":
        """Return what an evaluation found."""
        systems = [met for met, _ in expansion.seen.values() if isinstance(met, Header)]
        declared = {
            part.system: {each.version for each in composition.parts if each.system == part.system}
            for part in composition.parts
        }
        versioned = {url for url, versions in declared.items() if url and len(versions) > 1}
        counted = [header.url for header in systems]
        versioned |= {url for url in counted if counted.count(url) > 1}
        return cls(
            items,
            total,
            expansion.seen,
            frozenset(versioned),
            tuple(scope.applied),
            scope.supplements_of({header.url for header in systems}),
            composition.versions_match is True or (composition.versions_match is None and _across(composition)),
        )


def _across(composition: Composition) -> bool:
    """Tell whether an exclude of one version of a system takes codes of another version away."""
    included = {(part.system, part.version) for part in composition.includes}
    return any(
        part.system == system and part.version != version
        for part in composition.excludes
        if part.version
        for system, version in included
    )


class ExpansionCache:
    """Keeps expansions up to a number of codes in all."""

    def __init__(self, most: int = _MOST_ITEMS) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[Hashable, Expanded] = OrderedDict()

    def get(self, key: Hashable) -> Expanded | None:
        """Return an expansion, which counts as used; None where it is not kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Hashable, expanded: Expanded) -> None:
        """Keep an expansion."""
        old = self._kept.pop(key, None)
        self._size += _size(expanded) - (_size(old) if old else 0)
        self._kept[key] = expanded
        while self._size > self._most and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= _size(gone)


def _size(expanded: Expanded) -> int:
    return len(expanded.items or ()) + 10
