"""Very large value sets a page at a time: codes flow, and look-ups leave out what is excluded or came before.

Nothing is held, so that a page costs what it shows; in return nobody knows how many codes there are in all.
"""

from collections.abc import Iterator, Sequence

from fhir_server.terminology.composition import Composition, Part
from fhir_server.terminology.expansion import Expansion, Item, is_inactive
from fhir_server.terminology.membership import Asked, Membership
from fhir_server.terminology.outcomes import circular, unknown_value_set
from fhir_server.terminology.scope import Scope

LARGE = 20_000
"""Codes from which on a value set is not held as a whole for one page."""


class Stream:
    """One evaluation, over the scope of an Expansion that lists what a single include selects."""

    def __init__(self, scope: Scope, expansion: Expansion) -> None:
        self._scope = scope
        self._expansion = expansion
        self._members = Membership(scope)
        self._sizes: dict[str, int] = {}
        self._met: set[str] = set()

    def size(self, composition: Composition, within: Sequence[str] = ()) -> int:
        """Return how many codes there are at most, as far as systems can count them quickly."""
        if composition.name in within or composition.broken is not None:
            return 0
        if not composition.includes:
            return len(composition.listed or ())
        if composition.name not in self._sizes:
            inside = (*within, composition.name)
            self._sizes[composition.name] = sum(self._size(each, composition, inside) for each in composition.includes)
        return self._sizes[composition.name]

    def items(self, composition: Composition, words: str = "", within: Sequence[str] = ()) -> Iterator[Item]:
        """Yield the codes of a value set, each once.

        Args:
            words: of systems, those codes alone that the text finds.

        Raises:
            BadValue, NotFound, TooCostly: as an Expansion.
        """
        if composition.name in within:
            raise circular(composition.name, ", ".join(within)).raised()
        if composition.broken is not None or not composition.includes:
            yield from self._expansion.codes(composition).values()
            return
        inside = (*within, composition.name)
        for place, part in enumerate(composition.includes):
            before = composition.includes[:place]
            self._expansion.spend(0)
            if any(part.source == each.source for each in before):
                continue
            for item in self._part(part, composition, words, inside):
                if not (self._among(before, composition, item) or self._left_out(composition, item)):
                    yield item

    def meet(self, composition: Composition, within: Sequence[str] = ()) -> None:
        """Note every system and value set that counts, whether a page shows of it or not."""
        if composition.name in within:
            raise circular(composition.name, ", ".join(within)).raised()
        if composition.name in self._met:
            return
        for part in composition.parts:
            if part.system:
                self._expansion.system(part, composition)
            for canonical in part.value_sets:
                self.meet(self._imported(canonical, composition), (*within, composition.name))
        self._met.add(composition.name)

    def _part(self, part: Part, whole: Composition, words: str, within: Sequence[str]) -> Iterator[Item]:
        imported = [self._imported(canonical, whole) for canonical in part.value_sets]
        if part.system or not imported:
            found = self._expansion.of_system(part, whole, words)
        else:
            first, *imported = imported
            found = self.items(first, words, within)
        for item in found:
            if all(self._members.find(each, _asked(item)).matches for each in imported):
                yield item

    def _imported(self, canonical: str, whole: Composition) -> Composition:
        composition = self._scope.value_set(canonical, whole)
        if composition is None:
            raise unknown_value_set(canonical).raised()
        if not canonical.startswith("#"):
            self._expansion.seen[("ValueSet", composition.name)] = composition, whole
        return composition

    def _among(self, parts: Sequence[Part], whole: Composition, item: Item) -> bool:
        matches = [each for part in parts for each in self._members.in_part(part, whole, _asked(item)).matches]
        return any(whole.versions_match or each.system is item.system for each in matches)

    def _left_out(self, whole: Composition, item: Item) -> bool:
        if not whole.inactive and is_inactive(item):
            return True
        matches = [each for part in whole.excludes for each in self._members.in_part(part, whole, _asked(item)).matches]
        return any(whole.versions_match is not False or each.system is item.system for each in matches)

    def _size(self, part: Part, whole: Composition, within: Sequence[str]) -> int:
        if part.concepts is not None:
            return len(part.concepts)
        if part.system:
            system = self._scope.system(part.system, part.version)
            return (system.count(part.filters) or 0) if system is not None else 0
        found = (self._scope.value_set(canonical, whole) for canonical in part.value_sets)
        return min((self.size(each, within) for each in found if each is not None), default=0)


def _asked(item: Item) -> Asked:
    return Asked(item.url, item.code or "")
