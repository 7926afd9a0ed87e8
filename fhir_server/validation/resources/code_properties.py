"""The properties that a code system declares: each once, and those of FHIR as FHIR has them.

Spec: https://hl7.org/fhir/R4/codesystem-concept-properties.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, text
from fhir_server.validation.rules.words import is_absolute
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_BASE = "http://hl7.org/fhir/concept-properties#"
_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("status", "parent", "child", "partOf", "synonym"), "code"),
    **dict.fromkeys(("inactive", "notSelectable"), "boolean"),
    **dict.fromkeys(("effectiveDate", "deprecated", "deprecationDate", "retirementDate"), "dateTime"),
    "comment": "string",
    "itemWeight": "decimal",
}


def check_declared(system: Json, place: Place, run: Run) -> None:
    """Check every property that a code system declares."""
    seen: set[str] = set()
    for index, one in objects(system, "property"):
        at, code, uri = Place(place, "property", index), text(one, "code"), text(one, "uri")
        if code in seen:
            run.error(at, "business-rule", f"the property {shorten(code)} is declared twice")
        elif uri and uri in seen:
            run.error(at, "business-rule", f"another property has the uri {shorten(uri)}")
        elif not uri:
            run.inform(at, "business-rule", f"the property {shorten(code)} has no uri that says what it means")
        elif not is_absolute(uri):
            run.error(at, "business-rule", f"the uri of a property must be absolute, not {shorten(uri)}")
        else:
            _check_known(code, uri, text(one, "type"), at, run)
        seen |= {code, uri} - {""}


def _check_known(code: str, uri: str, type_: str, place: Place, run: Run) -> None:
    name = uri.removeprefix(_BASE)
    if name == uri or name not in _TYPES:
        return
    if code != name and code in _TYPES:
        run.error(place, "business-rule", f"{shorten(uri)} means {name}, which is another than {shorten(code)}")
    if type_ and type_ != _TYPES[name]:
        run.error(place, "business-rule", f"{shorten(uri)} is of type {_TYPES[name]}, not {shorten(type_)}")
