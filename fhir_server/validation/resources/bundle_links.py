"""Links of a Bundle: relations that its type may have, each once.

Spec: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.link
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]

_PAGES = ("first", "previous", "prev", "next", "last")
_PAGED = ("searchset", "history")


def check_links(bundle: Json, type_: str, place: Place, run: Run) -> None:
    """Check each link."""
    seen: set[str] = set()
    for index, link in objects(bundle, "link"):
        relation, at = text(link, "relation"), Place(place, "link", index)
        if relation in _PAGES and type_ not in _PAGED and type_:
            run.error(Place(at, "relation"), "invalid", f"a {type_} has no pages, so it has no {relation} link")
        elif relation in seen and (relation in _PAGES or relation == "self"):
            run.error(at, "invalid", f"there is more than one {relation} link")
        seen.add(relation)
