"""Rules on single texts that structure leaves out: UUIDs and OIDs in URIs, and what looks like HTML.

Spec: https://hl7.org/fhir/R4/datatypes.html#uri, https://hl7.org/fhir/R4/security.html#narrative
"""

import re
from typing import Any

from fhir_server.definitions import Element, ElementType
from fhir_server.packages import CANONICAL_TYPES
from fhir_server.validation.place import Place
from fhir_server.validation.run import Check, Run

_uuid = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_tag = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]{0,1000})?/?>|<!--").search
TEXTS = frozenset(("string", "markdown"))
_URIS = frozenset(("uri", "url", "canonical"))


def primitive_check(element: Element, of: ElementType) -> Check | None:
    """Return the check of a primitive, where there is one."""
    if of.code == "canonical" and of.targets and "Resource" not in of.targets and element.path != "Meta.profile":
        return _canonical(of.targets)
    if of.code in _URIS and not element.path.endswith((".fullUrl", ".url")):
        return uri
    return None


def _canonical(targets: tuple[str, ...]) -> Check:
    """What a canonical URL names, where it is known, is of a type that the element may refer to.

    Spec: https://hl7.org/fhir/R4/references.html#canonical
    """
    others = tuple(type_ for type_ in CANONICAL_TYPES if type_ not in targets)
    expected = " or ".join(targets)

    def check(value: Any, place: Place, run: Run) -> None:
        uri(value, place, run)
        if type(value) is not str or value.startswith("#"):
            return
        find = run.knowledge.library.find
        found = next((type_ for type_ in others if find(type_, value)), None)
        if found and not any(find(type_, value) for type_ in targets):
            run.error(place, "invalid", f"{value[:200]!r} is a {found}; expected the URL of a {expected}")

    return check


def uri(value: Any, place: Place, run: Run) -> None:
    """A URI that says it is a UUID or an OID has to be one."""
    if type(value) is not str or not value.startswith("urn:"):
        return
    if value.startswith("urn:uuid:") and not _uuid(value):
        run.error(place, "invalid", f"{value[:100]!r} is not a UUID: expected urn:uuid: and 8-4-4-4-12 hex digits")
    elif value.startswith("urn:oid:") and not _oid(value):
        run.error(place, "invalid", f"{value[:100]!r} is not an OID: expected urn:oid: and numbers with dots")


def texts(value: Any, above: Place, shown: str, run: Run) -> None:
    """Tell of texts that a careless page would show as HTML. The place is made for those only."""
    if type(value) is str:
        if "<" in value and _tag(value):
            _html(Place(above, shown), run)
    elif type(value) is list:
        for index, item in enumerate(value):
            if type(item) is str and "<" in item and _tag(item):
                _html(Place(above, shown, index), run)


def _html(place: Place, run: Run) -> None:
    text = "the text looks like HTML: who shows it must escape it"
    report = {"off": run.inform, "warning": run.warn, "error": run.error}[run.security]
    report(place, "invalid", text)
