"""`Device/[id]/$performance`, and `Device/$performance?name=`: how a version of a model does here, now."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from fhir_ai.models import Model, ModelUnavailable
from fhir_ai.monitoring.measure import measure_report
from fhir_ai.monitoring.report import Report
from fhir_ai.monitoring.watch import look
from fhir_ai.registry.machines import machine_of
from fhir_ai.registry.operations import MANAGE
from fhir_ai.registry.registry import Registry
from fhir_ai.registry.resources import MODEL
from fhir_ai.scopes import hold_to
from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    NotFound,
    Operation,
    OperationFacts,
    Outputs,
    PluginContext,
    ScopeWords,
    decode,
    facts_of,
)  # fmt: skip

READ = "__ai-models.read"
SCOPES = [ScopeWords(READ, "see how the learned models of the server do on its patients, as figures without names")]
_MOST_DAYS = 3_650


def operations() -> list[Operation]:
    """Return it."""
    return [Operation(_facts(), performance, "How a learned model does on the patients of this server.")]


async def performance(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call; nothing is stored but outcomes that became known.

    Raises:
        NotFound: the Device is no model of this server. BadRequest: it is not said which.
    """
    hold_to(ctx, READ, MANAGE)
    days = call.inputs.one("days", ctx.settings.monitor_days)
    if not 0 < days <= _MOST_DAYS:
        raise BadValue(f"days is 1 to {_MOST_DAYS}", expression="days")
    model = await _model(ctx, call)
    report = await look(ctx, model, int(days))
    machine = await machine_of(ctx, model)
    made = measure_report(report, machine.device, ctx.now())
    bounds = [("broken", [("bound", each.name), ("because", each.said)]) for each in report.broken]
    return Outputs([("report", made), *bounds, *(("note", text) for text in _notes(report, model, ctx))])


async def _model(ctx: PluginContext, call: Call) -> Model:
    registry = Registry(ctx)
    if call.request.id:
        device = await ctx.client.read("Device", str(call.request.id))
        named = [each["value"] for each in device.get("identifier", ()) if each.get("system") == MODEL]
        for entry in await registry.entries():
            if f"{entry.name}-{entry.version}" in named:
                return entry.model
        raise NotFound(f"Device/{call.request.id} is no model of this server")
    name, version = call.inputs.one("name"), call.inputs.one("version")
    if not name:
        raise BadRequest("$performance of which model? call it on its Device, or name it", expression="name")
    if version is None:
        serves = (await registry.aliases()).get(str(name))
        version = serves.champion if serves is not None else ""
    try:
        return (await registry.entry(str(name), str(version))).model
    except ModelUnavailable as error:
        raise NotFound(str(error)) from error


def _notes(report: Report, model: Model, ctx: PluginContext) -> Iterator[str]:
    if report.n < ctx.settings.monitor_least:
        yield f"Only {report.n} answers: bounds are held from {ctx.settings.monitor_least} on."
    if model.manifest.label == "none":
        yield "The record does not tell what became of these patients: no AUROC, no calibration."
    elif report.outcomes is None:
        yield f"Outcomes are known after {model.manifest.horizon:g} days at the earliest."
    if not model.package.card_text or not _has_reference(model):
        yield "The card has no reference of the training data: shifts cannot be told."


def _has_reference(model: Model) -> bool:
    try:
        return bool(model.card().get("reference"))
    except ModelUnavailable:
        return False


@cache
def _facts() -> OperationFacts:
    found: Any = decode(files("fhir_ai.monitoring").joinpath("performance.json").read_bytes())
    return facts_of(found)
