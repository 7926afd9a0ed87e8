"""Laboratory: all checks of one result, with the person, the earlier results and the panel that it stands in."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from fhir_ai.findings.lab.analytes import Analyte, table
from fhir_ai.findings.lab.checks import delta, ranges, serial
from fhir_ai.findings.lab.panels import Panel, panels
from fhir_ai.findings.lab.reading import ORDER, USABLE, Finding, Reading, Severity, analyte_of, read_result
from fhir_ai.inputs.tables import LOINC
from fhir_ai.inputs.times import age_at
from fhir_ai.models.errors import ModelUnavailable
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Client, Forbidden, decode

_HISTORY: Final = 40
_DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a result is of, as far as the checks ask."""

    birth: str = ""
    sex: str = ""

    def age(self, at: int) -> float | None:
        """Return the age in years at a time."""
        return age_at(self.birth, at) if self.birth else None


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, the most severe first, and what was not checked and why."""

    reading: Reading | None
    findings: tuple[Finding, ...]
    unchecked: tuple[tuple[str, str], ...] = field(default_factory=tuple)

    @property
    def severity(self) -> Severity | None:
        """The highest severity; None where nothing stands out."""
        return self.findings[0].severity if self.findings else None

    def at_least(self, floor: Severity) -> bool:
        """Tell whether something of a severity was found."""
        return any(ORDER[each.severity] <= ORDER[floor] for each in self.findings)


def person_of(patient: Mapping[str, Any] | None) -> Person:
    """Return what the checks ask of a Patient."""
    return Person(str(patient.get("birthDate", "")), str(patient.get("gender", ""))) if patient else Person()


def judge(
    result: Reading, person: Person, earlier: Sequence[Reading], others: Mapping[str, Reading], settings: AiSettings
) -> Report:
    """Check one result. earlier: of the same analyte, newest first; others: of its time, by analyte."""
    age = person.age(result.at)
    found, left = ranges(result, age, person.sex)
    unchecked = [("reference-range", each) for each in left]
    near = [each for each in earlier if result.at - each.at <= settings.lab_delta_days * _DAY]
    cv = settings.lab_cv_analytical.get(result.analyte.name)
    changed = delta(result, near[0] if near else None, cv)
    found += [changed] if changed else []
    if not near:
        unchecked.append(("delta", f"there is no earlier result within {settings.lab_delta_days:g} days"))
    elif result.analyte.cv_within is None:
        unchecked.append(("delta", f"{result.analyte.title}: no biological variation that a change can be held to"))
    series, why = serial(result, earlier)
    found += series
    unchecked += [("westgard", why)] if why else []
    for panel in panels():
        together, why = unusual(panel, {**others, result.analyte.name: result}, result, age, settings)
        found += together
        unchecked += [("panel", why)] if why else []
    return report_of(result, found, unchecked)


def report_of(
    result: Reading | None, found: Iterable[Finding], unchecked: Iterable[tuple[str, str]] = ()
) -> Report:  # fmt: skip
    """Return findings as a report, the most severe first."""
    return Report(result, tuple(sorted(found, key=lambda each: ORDER[each.severity])), tuple(unchecked))


def unusual(
    panel: Panel, results: Mapping[str, Reading], of: Reading, age: float | None, settings: AiSettings
) -> tuple[list[Finding], str]:
    """Ask the forest of a panel that a result belongs to; return findings, or why it was not asked."""
    if of.analyte.name not in panel.analytes:
        return [], ""
    missing = [name for name in panel.analytes if name not in results or results[name].comparator]
    if missing:
        return [], f"{panel.title}: {', '.join(missing)} of the same day is missing"
    if not settings.models:
        return [], f"{panel.title}: learned models are switched off"
    if age is None or age < panel.minimum_age:
        return [], f"{panel.title}: it was trained on people from {panel.minimum_age:g} years on"
    try:
        said = panel.score({name: results[name].value for name in panel.analytes})
    except ModelUnavailable as error:
        return [], str(error)
    if not said.flagged:
        return [], ""
    used = [results[name] for name in panel.analytes]
    values = ", ".join(f"{each.analyte.title} {each.said()}" for each in used)
    because = f"{panel.title}: unusual together ({values}); score {said.score:.2f}, threshold {said.threshold:.2f}"
    refs = tuple(each.reference for each in used if each.reference and each.reference != of.reference)
    source = f"learned model, isolation forest {panel.name} {said.version}; card docs/ai/models/{panel.name}.md"
    return [Finding("panel", "low", because, source, refs)], ""


async def judge_stored(
    client: Client, observation: Mapping[str, Any], patient: Mapping[str, Any] | None, settings: AiSettings
) -> Report | None:
    """Check a result with what is stored of the same patient; None where it is of no analyte that is known."""
    known = analyte_of(observation)
    if known is None:
        return None
    result = read_result(observation, *known)
    if isinstance(result, Finding):
        return report_of(None, [result])
    subject = str(observation.get("subject", {}).get("reference", ""))
    if not subject.startswith("Patient/") or not result.at:
        why = "it is of no Patient of this record" if result.at else "it has no time"
        report = judge(result, person_of(patient), (), {}, settings)
        return report_of(result, report.findings, [*report.unchecked, ("delta", why)])
    earlier, others = await asyncio.gather(_earlier(client, subject, result), _panel(client, subject, result))
    return judge(result, person_of(patient), earlier, others, settings)


def sorted_readings(observations: Iterable[Mapping[str, Any]], analyte: Analyte) -> list[Reading]:
    """Return the results of an analyte that can be read, newest first."""
    found = []
    for each in observations:
        known = analyte_of(each)
        if known is None or known[0] is not analyte or each.get("status") not in USABLE:
            continue
        result = read_result(each, *known)
        if isinstance(result, Reading) and result.at:
            found.append(result)
    return sorted(found, key=lambda each: -each.at)


async def _earlier(client: Client, subject: str, result: Reading) -> list[Reading]:
    until = datetime.fromtimestamp(result.at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = await _found(client, subject, result.analyte.loinc, [("date", f"le{until}")])
    readings = sorted_readings(found, result.analyte)
    return [each for each in readings if each.at < result.at and each.reference != result.reference]


async def _panel(client: Client, subject: str, result: Reading) -> dict[str, Reading]:
    """Return the results of the panels that a result is part of, newest of its day."""
    names = {name for panel in panels() if result.analyte.name in panel.analytes for name in panel.analytes}
    analytes = [each for each in table().analytes if each.name in names and each is not result.analyte]
    if not analytes:
        return {}
    since = datetime.fromtimestamp((result.at - _DAY) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    until = datetime.fromtimestamp(result.at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    codes = [code for each in analytes for code in each.loinc]
    found = await _found(client, subject, codes, [("date", f"ge{since}"), ("date", f"le{until}")])
    newest = {each.name: sorted_readings(found, each) for each in analytes}
    return {name: readings[0] for name, readings in newest.items() if readings}


async def _found(
    client: Client, subject: str, codes: Sequence[str], more: list[tuple[str, str]]
) -> list[dict[str, Any]]:  # fmt: skip
    tokens = ",".join(f"{LOINC}|{code}" for code in codes)
    asked = [("patient", subject), ("code", tokens), *more, ("_sort", "-date")]
    found = []
    try:
        async for version in client.versions("Observation", asked, page=_HISTORY):
            found.append(decode(version.stamped()))
            if len(found) == _HISTORY:
                break
    except Forbidden:
        return []
    return found
