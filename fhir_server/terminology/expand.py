"""ValueSet/$expand: the codes of a value set, as a client asks to see them.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from fhir_server.terminology.composition import Composition, Part
from fhir_server.terminology.displays import displays_of
from fhir_server.terminology.expansion import Expansion, Item
from fhir_server.terminology.expansion_cache import Expanded
from fhir_server.terminology.expansion_parameters import parameters_of, unclosed
from fhir_server.terminology.expansion_view import View, nested, property_definitions
from fhir_server.terminology.languages import ANY
from fhir_server.terminology.outcomes import too_costly
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.scope import Scope
from fhir_server.terminology.text_search import rank_of, texts_of, words_of, worst
from fhir_server.terminology.validate import languages_for, value_set_of

if TYPE_CHECKING:
    from fhir_server.terminology.service import Terminology

_LEFT_OUT = frozenset(("text", "meta", "expansion"))
_HEAD = frozenset(
    [
        "resourceType",
        "id",
        "language",
        "url",
        "identifier",
        "version",
        "name",
        "title",
        "status",
        "experimental",
        "date",
    ]
)
"""What is said of a value set without its definition."""


def expand(terminology: "Terminology", request: ExpandRequest) -> dict[str, Any]:
    """Return the ValueSet with its expansion, or the page of it that is asked for.

    Properties stand as R5 has them (`expansion.property`, `contains.property`).

    Raises:
        NotFound: there is no such value set, or it needs something that is not here.
        BadRequest: a request or value set that makes no sense.
        TooCostly: it has too many codes, or needs too much work.
    """
    common = request.common
    terminology = terminology.with_resources(common.resources)
    composition = value_set_of(terminology, common)
    request = request.with_defaults(composition.parameters)
    found = _found(terminology, composition, request)
    page = _page(terminology, found, composition, request)
    languages = languages_for(common, composition)
    view = View(request, languages or ANY, found.versioned)
    whole = not request.offset and len(page) == found.total
    if whole and not request.exclude_nested and not request.filter and _hierarchical(composition):
        contains = nested(page, view.contains)
    else:
        contains = [view.contains(item) for item in page]
    expansion: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid.uuid4()}",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "total": found.total,
    }
    if request.offset is not None:
        expansion["offset"] = request.offset
    expansion["parameter"] = parameters_of(request, composition, languages, found)
    extensions, definitions = unclosed(found), property_definitions(view)
    expansion |= {"extension": extensions} if extensions else {}
    expansion |= {"property": definitions} if definitions else {}
    expansion |= {"contains": contains} if contains else {}
    return _head(composition, request) | {"expansion": expansion}


def _head(composition: Composition, request: ExpandRequest) -> dict[str, Any]:
    resource = composition.resource
    if request.include_definition:
        return {name: value for name, value in resource.items() if name not in _LEFT_OUT}
    return {name: value for name, value in resource.items() if name in _HEAD}


def _found(terminology: "Terminology", composition: Composition, request: ExpandRequest) -> Expanded:
    """Return all codes, from those that were expanded before where it can be."""
    key = None if request.common.value_set is not None else request.key(composition.name)
    kept = terminology.expansions.get(key) if key is not None else None
    if kept is not None:
        return kept
    scope = Scope(terminology.sources, request.common.versions, [*composition.supplements, *request.common.supplements])
    scope.take_supplements()
    expansion = Expansion(scope)
    page = _large(terminology, expansion, scope, composition, request)
    if page is not None or key is None:
        return page or _evaluated(expansion, scope, composition, request)
    files = terminology.kept
    found = files.load(key, composition, scope) if files is not None else None
    if found is None:
        found = _evaluated(expansion, scope, composition, request)
        if files is not None:
            files.keep(key, composition, scope, found)
    terminology.expansions.put(key, found)
    return found


def _evaluated(expansion: Expansion, scope: Scope, composition: Composition, request: ExpandRequest) -> Expanded:
    items = [each for each in expansion.codes(composition).values() if _wanted(each, request)]
    if request.filter:
        items = _searched(items, request.filter)
    return Expanded.of(items, len(items), expansion, scope, composition)


def _large(
    terminology: "Terminology", expansion: Expansion, scope: Scope, composition: Composition, request: ExpandRequest
) -> Expanded | None:
    """Return a page alone where the system itself can count; None where it cannot, or there is more to look at."""
    if not composition.simple or request.looks_at_concepts or composition.broken:
        return None
    part = composition.includes[0]
    system = scope.system(part.system, part.version)
    if system is None or part.system in request.exclude_systems:
        return None
    total = system.count(part.filters, request.filter)
    shown = (total or 0) - (request.offset or 0) if request.count is None else request.count
    if total is None or (total <= shown <= terminology.most_expanded):
        return None
    if shown > terminology.most_expanded:
        raise too_costly(composition.name, terminology.most_expanded).raised()
    found = Expanded.of(None, total, expansion, scope, composition)
    found.page = _slice(expansion, part, composition, request)
    found.seen.update(expansion.seen)
    return found


def _slice(expansion: Expansion, part: Part, composition: Composition, request: ExpandRequest) -> list[Item]:
    start = request.offset or 0
    items = expansion.part(part, composition, words=request.filter)
    page = list(islice(items, start, None if request.count is None else start + request.count))
    if not expansion.seen:
        next(iter(expansion.part(part, composition)), None)
    return page


def _wanted(item: Item, request: ExpandRequest) -> bool:
    if item.url in request.exclude_systems:
        return False
    if not (request.active_only or request.exclude_not_for_ui):
        return True
    concept = item.system.concept(item.code) if item.system is not None and item.code is not None else None
    if concept is None:
        return True
    return not (request.active_only and concept.inactive) and not (request.exclude_not_for_ui and concept.abstract)


def _searched(items: Sequence[Item], text: str) -> list[Item]:
    """Return the items that hold the text, best first."""
    words = words_of(text)
    ranked: list[tuple[int, int, Item]] = []
    for place, item in enumerate(items):
        concept = item.system.concept(item.code) if item.system is not None and item.code is not None else None
        texts = list(texts_of(concept)) if concept is not None else [item.code or ""]
        if item.listed is not None and concept is not None:
            texts += [each.value for each in displays_of(concept, "", item.listed).all()]
        rank = rank_of(words, texts)
        if not worst(rank):
            ranked.append((rank, place, item))
    return [item for _, _, item in sorted(ranked, key=lambda each: each[:2])]


def _page(
    terminology: "Terminology", found: Expanded, composition: Composition, request: ExpandRequest
) -> Sequence[Item]:
    """Return the items of the page that is asked for.

    Raises:
        TooCostly: it would have too many codes.
    """
    if found.items is None:
        return found.page
    start = request.offset or 0
    end = len(found.items) if request.count is None else start + request.count
    page = found.items[start:end]
    if len(page) > terminology.most_expanded:
        raise too_costly(composition.name, terminology.most_expanded).raised()
    return page


def _hierarchical(composition: Composition) -> bool:
    """Tell whether the codes may be shown as a tree: those of one whole system, or all below a code."""
    if len(composition.includes) != 1:
        return False
    part = composition.includes[0]
    if part.value_sets or part.concepts is not None:
        return False
    return all(each.op in ("is-a", "descendent-of") for each in part.filters)
