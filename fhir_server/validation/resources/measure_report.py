"""MeasureReport against its Measure: groups, populations, stratifiers and scores.

Spec: https://hl7.org/fhir/R4/measurereport.html
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.questionnaires import contained
from fhir_server.validation.resources.values import child, number, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]
Pair = tuple[Json, Json, Place]

_COLLECTION = "data-collection"
_OBSERVATION = ("http://terminology.hl7.org/CodeSystem/measure-population", "measure-observation")
_SCORED = ("proportion", "ratio", "continuous-variable")
_SCORINGS = (*_SCORED, "cohort")


def check(report: Json, place: Place, run: Run) -> None:
    """Check a report against the measure it names."""
    canonical = text(report, "measure")
    measure = _measure(canonical, report, run) if canonical else None
    at = Place(place, "measure")
    if measure is None:
        if canonical:
            run.warn(at, "not-found", f"the measure {shorten(canonical)} is not known, so the report is not checked")
        return
    scoring, kind = _scoring(measure), text(report, "type")
    if not scoring:
        run.inform(at, "business-rule", "the scoring of the measure is not known, so scores are not checked")
    for defined, group, where in _groups(measure, report, place, run):
        _check_populations(defined, group, kind, where, run)
        _check_score(group, scoring, kind, where, run)
        for _ in _pairs(defined, group, "stratifier", where, run):
            pass


def _groups(measure: Json, report: Json, place: Place, run: Run) -> Iterator[Pair]:
    """Yield the groups with their definitions; a single one needs no code."""
    defined, reported = objects(measure, "group"), objects(report, "group")
    if len(defined) != 1 or len(reported) != 1:
        yield from _pairs(measure, report, "group", place, run, complete=report.get("type") != _COLLECTION)
        return
    (_, one), (_, group) = defined[0], reported[0]
    at = Place(place, "group", 0)
    if "code" in one and "code" in group and not set(_codes(one)) & set(_codes(group)):
        run.error(at, "business-rule", f"the code of the group is not that of the measure, {_named(one)}")
    yield one, group, at


def _measure(canonical: str, report: Json, run: Run) -> Json | None:
    if canonical.startswith("#"):
        return contained(canonical[1:], report)
    entry = run.knowledge.library.find("Measure", canonical)
    found = entry.parse() if entry else run.resolve(canonical)
    return found if found is not None and found.get("resourceType") == "Measure" else None


def _scoring(measure: Json) -> str:
    codes = (text(coding, "code") for _, coding in objects(child(measure, "scoring"), "coding") if "system" in coding)
    return next((code for code in codes if code in _SCORINGS), "")


def _check_populations(defined: Json, group: Json, kind: str, place: Place, run: Run) -> None:
    """Spec: https://hl7.org/fhir/R4/measurereport-definitions.html#MeasureReport.group.population.subjectResults"""
    for _, population, at in _pairs(defined, group, "population", place, run):
        count = population.get("count")
        if kind == "subject-list":
            subjects = _subjects(population, run)
            if subjects is not None and isinstance(count, int) and count != subjects:
                run.error(at, "business-rule", f"count is {count}, but there are {subjects} subjects")
        elif "subjectResults" in population:
            run.error(at, "business-rule", "only a report of type subject-list names its subjects")
        elif count is None:
            run.warn(at, "business-rule", "a population should have a count")


def _subjects(population: Json, run: Run) -> int | None:
    """Return how many subjects are listed; None where the list is not at hand."""
    reference = text(child(population, "subjectResults"), "reference")
    if not reference:
        return 0
    found = contained(reference[1:], run.root) if reference.startswith("#") else run.resolve(reference)
    if found is None:
        return None if "List/" in reference else 1
    return len(objects(found, "entry"))


def _pairs(measure: Json, report: Json, name: str, place: Place, run: Run, *, complete: bool = True) -> Iterator[Pair]:
    """Yield what is reported with its definition, matched by code; note what has no match."""
    defined, reported = objects(measure, name), objects(report, name)
    _check_ids(reported, name, place, run)
    by_code = {code: i for i, each in reversed(defined) for code in _codes(each)}
    by_index, seen = dict(defined), set[int]()
    for index, one in reported:
        at = Place(place, name, index)
        if "code" not in one:
            run.error(at, "business-rule", f"this {name} must have the code of its definition in the measure")
            continue
        match = next((by_code[code] for code in _codes(one) if code in by_code), None)
        if match is None:
            run.error(at, "business-rule", f"the measure has no {name} with this code")
        elif match in seen:
            run.error(at, "business-rule", f"there is another {name} with this code")
        else:
            seen.add(match)
            yield by_index[match], one, at
    for i, each in defined if complete else ():
        if i not in seen and _OBSERVATION not in _codes(each):
            run.error(place, "business-rule", f"the report lacks the {name} {_named(each)} of the measure")


def _check_ids(reported: list[tuple[int, Json]], name: str, place: Place, run: Run) -> None:
    seen: set[str] = set()
    for index, one in reported:
        id_ = text(one, "id")
        if id_ and id_ in seen:
            run.error(Place(place, name, index), "business-rule", f"the id {shorten(id_)} is used twice")
        seen.add(id_)


def _concepts(owner: Json) -> list[Json]:
    """Return the codes: a stratifier may have several."""
    return [one for _, one in objects(owner, "code")] or [child(owner, "code")]


def _codes(owner: Json) -> list[tuple[str, str]]:
    """Return the codes, and texts as codes without a system."""
    concepts = _concepts(owner)
    codings = [
        (text(one, "system"), text(one, "code")) for concept in concepts for _, one in objects(concept, "coding")
    ]
    return [*codings, *(("", text(concept, "text")) for concept in concepts if text(concept, "text"))]


def _named(defined: Json) -> str:
    return shorten(next((code for _, code in _codes(defined)), text(defined, "id")))


def _check_score(group: Json, scoring: str, kind: str, place: Place, run: Run) -> None:
    """Spec: https://hl7.org/fhir/R4/measurereport-definitions.html#MeasureReport.group.measureScore"""
    at, score = Place(place, "measureScore"), child(group, "measureScore")
    if kind == _COLLECTION or scoring == "cohort":
        if "measureScore" in group:
            run.error(at, "business-rule", "a cohort measure, and a collection of data, have no score")
    elif scoring in _SCORED:
        value = number(score.get("value"))
        if "measureScore" not in group:
            run.error(place, "required", f"a {scoring} measure has a score")
        elif value is None and "extension" not in score:
            run.error(at, "required", f"the score of a {scoring} measure has a value")
        elif scoring == "proportion":
            _check_proportion(score, value, at, run)


def _check_proportion(score: Json, value: Decimal | None, place: Place, run: Run) -> None:
    for name in ("unit", "system", "code"):
        if name in score:
            run.error(Place(place, name), "business-rule", "a proportion has no unit")
    if value is not None and not 0 <= value <= 1:
        run.error(Place(place, "value"), "required", "a proportion is between 0 and 1")
