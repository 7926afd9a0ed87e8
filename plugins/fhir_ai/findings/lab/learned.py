"""Learned: models of the registry that are about panels, asked beside the forest about a result of the record."""

from collections.abc import Mapping
from typing import Final

from fhir_ai.findings.lab.laboratory import Report, report_of
from fhir_ai.findings.lab.reading import Finding, Reading
from fhir_ai.inputs import Finder, read_record
from fhir_ai.inputs.record import Wanted
from fhir_ai.operations.computing import Computed
from fhir_ai.operations.predicting import model_inputs, predict
from fhir_ai.operations.risk_output import percentage
from fhir_ai.registry import serving_of
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import PluginContext, Resource

_HOURS: Final = 24.0
_INPUTS: Final[Mapping[str, str]] = {"tsh": "tsh", "t3": "total_t3", "t4": "total_t4"}
"""Inputs of models by the analyte that they are."""


async def with_models(ctx: PluginContext, report: Report, patient: Resource | None) -> Report:
    """Return a report with what models say of the panel; none takes a finding away."""
    settings: AiSettings = ctx.settings
    result = report.reading
    if result is None or patient is None or result.analyte.name not in _INPUTS or not result.at:
        return report
    serving = await serving_of(ctx)
    found, unchecked = list(report.findings), list(report.unchecked)
    for name in serving.of_kind("panel"):
        inputs = model_inputs(serving.models[name])
        if _INPUTS[result.analyte.name] not in {each.name for each in inputs}:
            continue
        wanted = Wanted(tuple(each.name for each in inputs), _HOURS, settings.most_observations)
        record = await read_record(ctx.client, patient, result.at, wanted)
        said = await predict(serving, name, str(patient["id"]), Finder(record), settings)
        if not isinstance(said, Computed):
            unchecked.append(("panel", f"{said.score.title}: {said.because}"))
        elif said.result.meaning.startswith("above"):
            found.append(_finding(said, result))
    return report_of(result, found, unchecked)


def _finding(said: Computed, result: Reading) -> Finding:
    because = f"{said.score.title}: {percentage(said.result.value)}% {said.score.outcome}; {said.result.meaning}"
    used = {each.reference for each in said.found.values() if each.reference and each.value is not None}
    refs = tuple(sorted(each for each in used if each.startswith("Observation/") and each != result.reference))
    return Finding("panel", "low", because, f"learned model, {said.score.source}, {said.model_version}", refs)
