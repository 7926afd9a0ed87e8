"""CodeSystem: properties of concepts as they are declared, and the value set of all codes.

Spec: https://hl7.org/fhir/R4/codesystem.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.code_properties import check_declared
from fhir_server.validation.resources.values import choice, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

# Every code system has these. Spec: https://hl7.org/fhir/R4/codesystem-concept-properties.html
_KNOWN = frozenset(("inactive", "deprecated", "notSelectable", "parent", "child", "status", "deprecationDate"))


def check(system: Json, place: Place, run: Run) -> None:
    """Check a code system as a whole and each of its concepts."""
    declared = {text(one, "code"): text(one, "type") for _, one in objects(system, "property")}
    codes = {text(concept, "code") for concept, _ in _concepts(system, place)}
    check_declared(system, place, run)
    for concept, at in _concepts(system, place):
        _check_properties(concept, declared, codes, at, run)
    _check_count(system, len(codes), place, run)
    _check_value_set(system, place, run)
    _check_supplement(system, place, run)


def _concepts(owner: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    open_ = [(owner, place)]
    while open_:
        one, at = open_.pop()
        for index, concept in objects(one, "concept"):
            here = Place(at, "concept", index)
            yield concept, here
            open_.append((concept, here))


def _check_properties(concept: Json, declared: Mapping[str, str], codes: set[str], place: Place, run: Run) -> None:
    for index, one in objects(concept, "property"):
        code, value = text(one, "code"), choice(one, "value")
        at = Place(place, "property", index)
        if code not in declared:
            if code not in _KNOWN:
                run.warn(at, "business-rule", f"the property {shorten(code)} is not declared in CodeSystem.property")
        elif value is not None and value.type != declared[code]:
            run.error(at, "invalid", f"the property {shorten(code)} is declared as {declared[code]}, not {value.type}")
        elif value is not None and value.type == "code" and code != "status" and value.json not in codes:
            run.warn(at, "invalid", f"the code system has no code {shorten(value.json)}")


def _check_count(system: Json, found: int, place: Place, run: Run) -> None:
    stated = system.get("count")
    if system.get("content") == "complete" and isinstance(stated, int) and stated != found:
        run.error(
            Place(place, "count"),
            "invalid",
            f"count is {stated}, but there are {found} concepts and the content is complete",
        )


def _check_value_set(system: Json, place: Place, run: Run) -> None:
    """The value set of a code system has all its codes.

    Spec: https://hl7.org/fhir/R4/codesystem-definitions.html#CodeSystem.valueSet
    """
    canonical, url = text(system, "valueSet"), text(system, "url")
    entry = run.knowledge.library.find("ValueSet", canonical) if canonical else None
    if entry is None or not url:
        return
    compose = entry.parse().get("compose")
    includes = [one for _, one in objects(compose, "include")]
    if len(includes) != 1 or includes[0].get("system") != url or {"concept", "filter"} & set(includes[0]):
        at = Place(place, "valueSet")
        run.error(at, "business-rule", f"the value set {canonical[:200]} does not have all the codes of this system")


def _check_supplement(system: Json, place: Place, run: Run) -> None:
    """Spec: https://hl7.org/fhir/R4/codesystem.html#supplements"""
    target, content = text(system, "supplements").partition("|")[0], text(system, "content")
    if bool(target) != (content == "supplement") and content:
        text_ = "a supplement has content = supplement" if target else "content is supplement, but of nothing"
        run.error(Place(place, "content"), "business-rule", text_)
    if content == "not-present" and objects(system, "concept"):
        run.error(Place(place, "concept", 0), "invalid", "content is not-present, but there are concepts")
    if not target:
        return
    for name in ("caseSensitive", "hierarchyMeaning"):
        if name in system:
            run.error(Place(place, name), "business-rule", f"a supplement does not say {name}: that is for its system")
    for concept, at in _concepts(system, place):
        found = run.knowledge.terms.check(None, target, text(concept, "code"))
        if found.result is False:
            run.error(at, "business-rule", f"{target[:200]} has no code {shorten(text(concept, 'code'))} to supplement")
