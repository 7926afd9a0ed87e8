"""`Observation/$lab-anomaly`: of one result of the record, or of results that come with the call."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_ai.findings.lab.analytes import Analyte, table
from fhir_ai.findings.lab.checks import controlled
from fhir_ai.findings.lab.issue import issue, keep
from fhir_ai.findings.lab.laboratory import Report, judge, judge_stored, person_of, report_of, sorted_readings
from fhir_ai.findings.lab.learned import with_models
from fhir_ai.findings.lab.reading import USABLE, Finding, Reading, analyte_of, read_result
from fhir_ai.operations.asked import of_one_person, resources_of
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    Forbidden,
    Inputs,
    MethodNotAllowed,
    Outputs,
    PluginContext,
    Resource,
)


async def lab_anomaly(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such Observation that the caller may see.
        BadRequest, BadValue: what came cannot be read, or is too little.
    """
    return await (_of_record(ctx, call) if call.request.id else _of_call(ctx, call.inputs))


async def _of_record(ctx: PluginContext, call: Call) -> Outputs:
    persist = bool(call.inputs.one("persist", False))
    if persist and call.request.method == "GET":
        raise MethodNotAllowed("persist=true changes the record; POST it", expression="persist")
    observation = await ctx.client.read("Observation", str(call.request.id))
    patient = await _patient(ctx, observation)
    report = await judge_stored(ctx.client, observation, patient, ctx.settings)
    if report is None:
        return Outputs([("note", _unknown(observation))])
    if observation.get("status") not in USABLE:
        return Outputs([("note", f"the Observation is {observation.get('status')}: it is not a result to be judged")])
    report = await with_models(ctx, report, patient)
    made = [issue(ctx, observation, report)] if report.findings else []
    if persist:
        kept = await keep(ctx, observation, int(observation["meta"]["versionId"]), report)
        made = [kept] if kept else []
    notes = [] if report.findings else [("note", "Nothing stands out.")]
    if patient is not None and not patient.get("birthDate"):
        notes.append(("note", "The birth date of the Patient is not recorded: no interval by age was used."))
    return Outputs([*(("issue", each) for each in made), *_told(report), *notes])


async def _of_call(ctx: PluginContext, inputs: Inputs) -> Outputs:
    """Judge what came: of each analyte the newest result against the older ones, or all as controls."""
    settings: AiSettings = ctx.settings
    if inputs.one("persist", False):
        raise BadRequest("only a result of the record can be stored: Observation/ID/$lab-anomaly", expression="persist")
    came = resources_of(ctx, inputs)
    of_one_person(came)
    patients = [each for each in came if each.get("resourceType") == "Patient"]
    results = [each for each in came if each.get("resourceType") == "Observation"]
    if not results or len(patients) > 1:
        raise BadRequest(
            f"one Observation at least and one Patient at most; there are {len(results)} and {len(patients)}",
            expression="resource",
        )
    control = _control(inputs)
    person = person_of(patients[0] if patients else None)
    values: list[tuple[str, Any]] = []
    groups = _by_analyte(results)
    newest = {analyte.name: readings[0] for analyte, readings, _ in groups if readings}
    for _, readings, faults in groups:
        if control is not None:
            found = controlled(list(reversed(readings)), *control)
            report = report_of(readings[0] if readings else None, [*faults, *found])
        elif readings:
            others = {name: each for name, each in newest.items() if abs(each.at - readings[0].at) <= 86_400_000}
            judged = judge(readings[0], person, readings[1:], others, settings)
            report = report_of(readings[0], [*faults, *judged.findings], judged.unchecked)
        else:
            report = report_of(None, faults)
        about = readings[0].resource if readings else results[0]
        values += [("issue", issue(ctx, {**about, "subject": {}}, report))] if report.findings else []
        values += _told(report)
    values += [("note", _unknown(each)) for each in results if analyte_of(each) is None]
    return Outputs(values)


def _by_analyte(results: Sequence[Resource]) -> list[tuple[Analyte, list[Reading], list[Finding]]]:
    """Return of each analyte its results, newest first, and what is wrong with those that cannot be read."""
    groups: dict[str, tuple[Analyte, list[Resource]]] = {}
    for each in results:
        known = analyte_of(each)
        if known is not None:
            groups.setdefault(known[0].name, (known[0], []))[1].append(each)
    found = []
    for analyte, members in groups.values():
        read = [read_result(member, *_known(member)) for member in members]
        faults = [result for result in read if isinstance(result, Finding)]
        found.append((analyte, sorted_readings(members, analyte), faults))
    return found


def _known(observation: Mapping[str, Any]) -> tuple[Analyte, str]:
    known = analyte_of(observation)
    assert known is not None
    return known


def _control(inputs: Inputs) -> tuple[float, float] | None:
    """Read mean and standard deviation of control material; both or none."""
    mean, deviation = inputs.one("mean"), inputs.one("sd")
    if mean is None and deviation is None:
        return None
    if mean is None or deviation is None or deviation <= 0:
        raise BadValue("control results need a mean and a standard deviation above zero", expression="sd")
    return float(mean), float(deviation)


async def _patient(ctx: PluginContext, observation: Mapping[str, Any]) -> Resource | None:
    """Return whom a result is of; who may not see the Patient is told that age and sex are not known."""
    type_, _, id_ = str(observation.get("subject", {}).get("reference", "")).partition("/")
    if type_ != "Patient" or not id_ or "/" in id_:
        return None
    try:
        return await ctx.client.find("Patient", id_)
    except Forbidden:
        return None


def _told(report: Report) -> Iterator[tuple[str, Any]]:
    for each in report.findings:
        parts: list[tuple[str, Any]] = [("check", each.check), ("severity", each.severity), ("because", each.because)]
        parts += [("reference", {"reference": reference}) for reference in each.references]
        yield "finding", [*parts, *([("source", each.source)] if each.source else [])]
    for check, why in report.unchecked:
        yield "not-checked", [("check", check), ("because", why)]


def _unknown(observation: Mapping[str, Any]) -> str:
    text = observation.get("code", {}).get("text") or "its code"
    return f"{str(text)[:80]}: no analyte that is known here; the table has the LOINC codes of {len(table().analytes)}"
