"""ValueSet/$expand: the codes of a value set, as a client asks to see them.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fhir_server.terminology.composition import Composition
from fhir_server.terminology.expansion_pages import Finder
from fhir_server.terminology.expansion_parameters import parameters_of, unclosed
from fhir_server.terminology.expansion_view import View, nested, property_definitions
from fhir_server.terminology.languages import ANY
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.validate import languages_for, value_set_of

if TYPE_CHECKING:
    from fhir_server.terminology.service import Terminology

_LEFT_OUT = frozenset(("text", "meta", "expansion"))
_HEAD = frozenset(("resourceType", "id", "language", "url", "identifier", "version", "name", "title"))
_HEAD |= frozenset(("status", "experimental", "date"))
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
    languages = languages_for(common, composition)
    found, page = Finder(terminology, composition, request, languages or ANY).find()
    view = View(request, languages or ANY, found.versioned)
    whole = not request.offset and len(page) == found.total
    if whole and not request.exclude_nested and not request.filter and _hierarchical(composition):
        contains = nested(page, view.contains)
    else:
        contains = [view.contains(item) for item in page]
    expansion: dict[str, Any] = {
        "identifier": f"urn:uuid:{uuid.uuid4()}",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    expansion |= {"total": found.total} if found.total is not None else {}
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


def _hierarchical(composition: Composition) -> bool:
    """Tell whether the codes may be shown as a tree: those of one whole system, or all below a code."""
    if len(composition.includes) != 1:
        return False
    part = composition.includes[0]
    if part.value_sets or part.concepts is not None:
        return False
    return all(each.op in ("is-a", "descendent-of") for each in part.filters)
