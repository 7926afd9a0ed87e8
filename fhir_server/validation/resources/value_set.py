"""ValueSet: systems, codes and filters that can be.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.errors import FhirError
from fhir_server.terminology.patterns import Pattern
from fhir_server.terminology.systems import ecl
from fhir_server.validation.place import Place
from fhir_server.validation.resources.value_set_parameters import check_parameters
from fhir_server.validation.resources.values import child, objects, strings, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_coded = re.compile(r"(?P<system>[^|#\s]+)(?:\|(?P<version>[^#\s]+))?#(?P<code>\S+)")
_SNOMED = "http://snomed.info/sct"
_MOST_CODES = 1000
_HIERARCHY = ("is-a", "is-not-a", "descendent-of", "generalizes")
_BOOLEANS = ("notSelectable", "inactive", "deprecated")
# Numbers may have the comparators of search in front.
_FORMS = {
    "boolean": re.compile(r"true|false"),
    "integer": re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?-?\d+"),
    "decimal": re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"),
    "dateTime": re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?\d{4}(?:-\d\d(?:-\d\d(?:T.*)?)?)?"),
}


def check(value_set: Json, place: Place, run: Run) -> None:
    """Check what a value set includes and excludes."""
    compose, at = child(value_set, "compose"), Place(place, "compose")
    for name in ("include", "exclude"):
        for index, part in objects(compose, name):
            _check_part(part, Place(at, name, index), run)
    check_parameters(value_set, place, run)


def _check_part(part: Json, place: Place, run: Run) -> None:
    system = text(part, "system")
    for index, canonical in strings(part, "valueSet"):
        if not canonical.startswith("#") and run.knowledge.library.find("ValueSet", canonical) is None:
            at = Place(place, "valueSet", index)
            run.inform(at, "not-found", f"the value set {shorten(canonical)} is not known here")
    if not system:
        return
    if ":" not in system:
        run.error(place, "invalid", f"the system must be an absolute URI, not {shorten(system)}")
        return
    if "|" in system:
        run.warn(place, "business-rule", f"the version of a system stands in version, not in {shorten(system)}")
        return
    entry = run.knowledge.library.find("CodeSystem", system)
    if entry is None and run.knowledge.library.find("ValueSet", system):
        run.error(place, "invalid", f"{shorten(system)} is a value set, not a code system")
        return
    if entry is not None and entry.parse().get("content") == "supplement":
        run.error(place, "invalid", f"{shorten(system)} is a supplement: include what it supplements")
        return
    for index, concept in objects(part, "concept")[:_MOST_CODES]:
        _check_code(system, text(part, "version"), text(concept, "code"), Place(place, "concept", index), run)
    for index, one in objects(part, "filter"):
        _check_filter(system, one, Place(place, "filter", index), run)


def _check_code(system: str, version: str, code: str, place: Place, run: Run) -> None:
    if not code:
        return
    found = run.knowledge.terms.check(None, system, code, version=version or None)
    if found.result is False:
        run.error(place, "business-rule", found.message or f"{shorten(code)} is not a code of {shorten(system)}")
    elif found.result is None:
        run.inform(
            place, "business-rule", f"the code is not checked: {shorten(found.missing or system)} is not known here"
        )


def _check_filter(system: str, one: Json, place: Place, run: Run) -> None:
    name, op, value = text(one, "property"), text(one, "op"), text(one, "value")
    if not value:
        return
    if system == _SNOMED and name in ("constraint", "expression") and op == "=":
        _check_ecl(value, place, run)
    elif op == "regex" and name == "concept":
        run.error(place, "invalid", "a regular expression is over code or display, not over concept")
    elif op == "regex":
        _check_regex(value, place, run)
    elif op == "exists" or name in _BOOLEANS:
        if value not in ("true", "false"):
            run.error(
                place,
                "invalid",
                f"the value for {name}{' exists' * (op == 'exists')} is true or false, not {shorten(value)}",
            )
    elif op in _HIERARCHY and name in ("concept", "code"):
        _check_concept(system, value, place, run)
    elif op in ("=", "in", "not-in"):
        type_ = _declared(system, name, run)
        for each in value.split(",") if op != "=" else (value,):
            _check_value(name, type_, each.strip(), place, run)


def _check_regex(value: str, place: Place, run: Run) -> None:
    try:
        Pattern.of(value)
    except FhirError as error:
        run.error(place, "invalid", str(error))


def _check_ecl(value: str, place: Place, run: Run) -> None:
    """Spec: https://hl7.org/fhir/R4/snomedct.html#4.3.1.0.6"""
    try:
        ecl.parse(value)
    except FhirError as error:
        run.error(place, "invalid", f"{shorten(value)} is not an expression constraint: {error}")


def _check_concept(system: str, code: str, place: Place, run: Run) -> None:
    found = run.knowledge.terms.check(None, system, code)
    if found.result is False:
        run.error(place, "invalid", found.message or f"{shorten(code)} is not a code of {shorten(system)}")


def _declared(system: str, name: str, run: Run) -> str:
    """Return the type of a property; empty where the code system does not tell."""
    entry = run.knowledge.library.find("CodeSystem", system)
    properties = objects(entry.parse(), "property") if entry else []
    return next((text(one, "type") for _, one in properties if one.get("code") == name), "")


def _check_value(name: str, type_: str, value: str, place: Place, run: Run) -> None:
    if type_ == "Coding":
        _check_coding(name, value, place, run)
    elif type_ in _FORMS and not _FORMS[type_].fullmatch(value):
        run.error(place, "invalid", f"the value for {shorten(name)} is of type {type_}, which {shorten(value)} is not")


def _check_coding(name: str, value: str, place: Place, run: Run) -> None:
    found = _coded.fullmatch(value)
    if found is None:
        run.error(place, "invalid", f"the value for {shorten(name)} is written system#code, not {shorten(value)}")
        return
    answer = run.knowledge.terms.check(None, found["system"], found["code"], version=found["version"])
    if answer.result is False:
        run.error(place, "invalid", answer.message or f"{shorten(value)} is not a code")
