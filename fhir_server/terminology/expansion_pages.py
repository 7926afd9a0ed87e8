"""How the codes of an expansion are found: among those that are kept, by one system, as a stream, or as a whole."""

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from fhir_server.model.json import encode
from fhir_server.terminology.code_system import Concept
from fhir_server.terminology.composition import Composition
from fhir_server.terminology.displays import displays_of
from fhir_server.terminology.expansion import Expansion, Item
from fhir_server.terminology.expansion_cache import Expanded
from fhir_server.terminology.expansion_stream import LARGE, Stream
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.outcomes import too_costly
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.scope import Scope
from fhir_server.terminology.text_search import Rank, rank_of, texts_of, words_of, worst

if TYPE_CHECKING:
    from fhir_server.terminology.service import Terminology

_DEEPEST_STREAM = 20_000
"""Codes that a stream may pass over to come to a page; further on, holding them all is cheaper."""


_RANKED = 2_000
"""Codes that are ranked again by the language that is asked for."""


class Finder:
    """Finds the codes of one request."""

    def __init__(
        self, terminology: "Terminology", composition: Composition, request: ExpandRequest, languages: Languages
    ) -> None:
        self._terminology, self._languages = terminology, languages
        self._composition = composition
        self._request = request
        supplements = [*composition.supplements, *request.common.supplements]
        self._scope = Scope(terminology.sources, request.common.versions, supplements)
        self._expansion = Expansion(self._scope)
        self._stream = Stream(self._scope, self._expansion)

    def find(self) -> tuple[Expanded, Sequence[Item]]:
        """Return what is to be said of all codes, and those of the page that is asked for.

        Raises:
            NotFound, BadRequest, TooCostly: as `expand`.
        """
        found = self._found()
        if found.items is None:
            return found, found.page
        start, count = self._request.offset or 0, self._request.count
        items = self._in_language(found.items)
        page = items[start : None if count is None else start + count]
        self._limit(len(page))
        return found, page

    def _found(self) -> Expanded:
        terminology, key = self._terminology, self._request.key(self._name())
        kept = terminology.expansions.get(key)
        if kept is not None:
            return kept
        self._scope.take_supplements()
        page = self._of_one_system() or self._streamed()
        if page is not None:
            return page
        files = terminology.kept
        found = files.load(key, self._composition, self._scope) if files is not None else None
        if found is None:
            found = self._whole()
            if files is not None:
                files.keep(key, self._composition, self._scope, found)
        terminology.expansions.put(key, found)
        return found

    def _name(self) -> str:
        """Return what tells the value set from others: one that came with the request is told by all that it says."""
        given = self._request.common.value_set
        return self._composition.name if given is None else hashlib.sha256(encode(given)).hexdigest()

    def _of_one_system(self) -> Expanded | None:
        """Return a page where the system itself can count; None where it cannot, or there is more to look at."""
        composition, request = self._composition, self._request
        if not composition.simple or request.looks_at_concepts or composition.broken:
            return None
        part = composition.includes[0]
        system = self._expansion.system(part, composition)
        if system is None or part.system in request.exclude_systems:
            return None
        total = system.count(part.filters, request.filter)
        if total is None:
            return None
        start, left = request.offset or 0, max(0, total - (request.offset or 0))
        shown = left if request.count is None else min(left, request.count)
        self._limit(shown)
        if shown == total and not request.filter:
            return None  # kept as a whole, which may be a tree
        items = self._expansion.part(part, composition, words=request.filter)
        if request.filter and self._languages and total <= _RANKED:
            items = iter(self._in_language(list(items)))
        return self._expanded(None, total, list(islice(items, start, start + shown)))

    def _in_language(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the codes first whose display, in the language that is asked for, has the text; in their order."""
        words = words_of(self._request.filter)
        if not words or not self._languages or len(items) > _RANKED:
            return items
        return sorted(items, key=lambda item: rank_of(words, self._shown(item))[0])

    def _shown(self, item: Item) -> Sequence[str]:
        concept = _concept(item)
        if concept is None or item.system is None:
            return (item.code or "",)
        shown = displays_of(concept, item.system.header.language, item.listed).best(self._languages)
        return shown, concept.code

    def _streamed(self) -> Expanded | None:
        """Return a page of a very large value set; None where it is not large, or the page is far from the start."""
        request, composition = self._request, self._composition
        start, most = request.offset or 0, self._terminology.most_expanded
        # One more than there may be tells whether there are too many.
        end = start + (most + 1 if request.count is None else request.count)
        if end > _DEEPEST_STREAM or self._stream.size(composition) < LARGE:
            return None
        self._stream.meet(composition)
        found = (each for each in self._stream.items(composition, request.filter) if _wanted(each, request))
        if request.filter:
            items = _searched(list(found), request.filter)
            return self._expanded(items, len(items))
        self._limit(request.count or 0)
        page = list(islice(found, start, end))
        self._limit(len(page))
        return self._expanded(None, start + len(page) if len(page) < end - start else None, page)

    def _whole(self) -> Expanded:
        items = [each for each in self._expansion.codes(self._composition).values() if _wanted(each, self._request)]
        if self._request.filter:
            items = _searched(items, self._request.filter)
        return self._expanded(items, len(items))

    def _expanded(self, items: Sequence[Item] | None, total: int | None, page: Sequence[Item] = ()) -> Expanded:
        found = Expanded.of(items, total, self._expansion, self._scope, self._composition)
        found.page = page
        return found

    def _limit(self, shown: int) -> None:
        most = self._terminology.most_expanded
        if shown > most:
            raise too_costly(self._composition.name, most).raised()


def _wanted(item: Item, request: ExpandRequest) -> bool:
    if item.url in request.exclude_systems:
        return False
    concept = _concept(item) if request.looks_at_concepts else None
    if concept is None:
        return True
    return not (request.active_only and concept.inactive) and not (request.exclude_not_for_ui and concept.abstract)


def _concept(item: Item) -> Concept | None:
    return item.system.concept(item.code) if item.system is not None and item.code is not None else None


def _searched(items: Sequence[Item], text: str) -> list[Item]:
    """Return the items that hold the text, best first."""
    words = words_of(text)
    ranked: list[tuple[Rank, int, Item]] = []
    for place, item in enumerate(items):
        concept = _concept(item)
        texts = list(texts_of(concept)) if concept is not None else [item.code or ""]
        if item.listed is not None and concept is not None:
            texts += [each.value for each in displays_of(concept, "", item.listed).all()]
        rank = rank_of(words, texts)
        if not worst(rank):
            ranked.append((rank, place, item))
    return [item for _, _, item in sorted(ranked, key=lambda each: each[:2])]
