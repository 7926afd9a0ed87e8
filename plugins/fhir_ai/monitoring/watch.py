"""Watch: the nightly look at each version that serves; a bound that breaks stops it, and says so to people."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from fhir_ai.models import Model, ModelUnavailable
from fhir_ai.monitoring.measure import figures, measure_report
from fhir_ai.monitoring.outcomes import linked, sweep
from fhir_ai.monitoring.overrides import overridden
from fhir_ai.monitoring.report import Report, report_of
from fhir_ai.registry.machines import machine_of
from fhir_ai.registry.recorder import PREDICTIONS, Said, recorder_of
from fhir_ai.registry.registry import Registry
from fhir_server.plugin_api import (
    Alert,
    Collection,
    Host,
    Metric,
    NotFound,
    PluginContext,
    RecordChange,
    Scheduled,
    Where,
    instant,
    raise_alert,
)

_LOG = logging.getLogger(__name__)
_DAY: Final = 86_400_000
_PAGE: Final = 2_000
FIGURES: Final = Collection("fhir_ai.figures")
"""The figures of the last look at each version, for all processes."""
_SHOWN: dict[tuple[str, ...], float] = {}
"""The same in this process, as metrics: tenant, model, version, figure, what it is of."""


def scheduled(cron: str) -> Scheduled:
    """Return the nightly look."""
    return Scheduled("ai-monitor", watch, cron=cron, each_tenant=True)


def metrics() -> list[Metric]:
    """Return the figures for Prometheus."""
    labels = ("tenant", "model", "version", "figure", "of")
    said = "Figures of the last nightly look at each learned model; see docs/ai/monitoring.md."
    return [Metric("model_performance", said, lambda: dict(_SHOWN), labels=labels, refresh=_refresh)]


async def watch(ctx: PluginContext) -> None:
    """Look at all versions that serve or are shadows; store a MeasureReport of each that said something."""
    await sweep(ctx, ctx.now() - ctx.settings.monitor_keep_days * _DAY)
    registry = Registry(ctx)
    for name, each in (await registry.aliases()).items():
        for version in dict.fromkeys((each.champion, each.challenger)):
            if version:
                await _looked(ctx, registry, (name, version), stops=version not in each.stopped)


async def _looked(ctx: PluginContext, registry: Registry, named: tuple[str, str], *, stops: bool) -> None:
    name, version = named
    try:
        model = (await registry.entry(name, version)).model
        report = await look(ctx, model, ctx.settings.monitor_days)
    except (NotFound, ModelUnavailable):
        _LOG.warning("the model %s %s cannot be looked at", name, version)
        return
    if not report.n:
        return
    await _remember(ctx, report)
    machine = await machine_of(ctx, model)
    await ctx.own.create(measure_report(report, machine.device, ctx.now()))
    if report.broken and stops:  # of one that is stopped people were told
        await _tell(ctx, report, machine.device)
        if ctx.settings.monitor_stops:
            await registry.stop(name, version, "; ".join(each.said for each in report.broken)[:500])


async def look(ctx: PluginContext, model: Model, days: int) -> Report:
    """Return the report of a version over the last days."""
    await recorder_of(ctx).flush()
    until = ctx.now()
    since = until - days * _DAY
    rows = await said_by(ctx, model, since)
    if model.manifest.label == "death":
        rows = await linked(ctx, rows)
    told = await overridden(ctx, (await machine_of(ctx, model)).device, since)
    return await asyncio.to_thread(report_of, model, rows, ctx.settings, (since, until), told)


async def said_by(ctx: PluginContext, model: Model, since: int) -> list[Said]:
    """Return what a version said since a time, oldest first; the newest, where there is too much."""
    where = [
        Where("model", "=", model.manifest.name), Where("version", "=", model.manifest.version),
        Where("at", ">=", since),
    ]  # fmt: skip
    found: list[Said] = []
    after: str | None = None
    while True:
        page = await ctx.store.find(PREDICTIONS.name, where, after=after, limit=_PAGE)
        found += [_said(record.value) for record in page]
        if len(page) < _PAGE:
            break
        after = page[-1].key
    found.sort(key=lambda row: row.at)
    return found[-ctx.settings.monitor_most :]


async def _tell(ctx: PluginContext, report: Report, device: str) -> None:
    """Raise an alarm, and leave an issue in the record that names the Device; it is about no patient."""
    said = "; ".join(each.said for each in report.broken)
    named = f"{report.model} {report.version}"
    if not raise_alert(Alert("model-bound", ctx.tenant, f"{named}: {said}", device or named)):
        _LOG.info("%s: told already", named)
    await ctx.own.create(
        {
            "resourceType": "DetectedIssue",
            "status": "final",
            "code": {"text": "a learned model broke a bound of its monitor"},
            "severity": "high",
            "identifiedDateTime": instant(ctx.now()),
            "author": {"reference": device},
            "implicated": [{"reference": device}],
            "detail": f"{named}: {said}",
            "mitigation": [{"action": {"text": _action(ctx)}}],
        }
    )


def _action(ctx: PluginContext) -> str:
    if ctx.settings.monitor_stops:
        return "The version was stopped; published scores answer in its place until it is resumed or replaced."
    return "None by itself: monitor_stops is off."


async def _remember(ctx: PluginContext, report: Report) -> None:
    told = [*figures(report), ("broken", "", len(report.broken))]
    value = {"model": report.model, "version": report.version, "figures": told}
    await ctx.store.put(RecordChange(FIGURES.name, f"{report.model}@{report.version}", value))


async def _refresh(host: Host) -> None:
    """Read the figures of the tenants that this process has served."""
    shown: dict[tuple[str, ...], float] = {}
    for tenant in sorted({"default", *host.shared.get("tenants", ())}):
        ctx = await host.context(tenant)
        for record in await ctx.store.find(FIGURES.name, limit=_PAGE):
            value: Any = record.value
            for figure, of, number in value["figures"]:
                shown[tenant, value["model"], value["version"], figure, of] = number
    _SHOWN.clear()
    _SHOWN.update(shown)


def _said(value: Mapping[str, Any]) -> Said:
    return Said(**value)
