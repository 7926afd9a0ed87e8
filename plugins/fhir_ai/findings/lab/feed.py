"""Feed: looks at each new laboratory result and stores what stands out, once for each version."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_ai.findings.lab.issue import ISSUES, keep
from fhir_ai.findings.lab.laboratory import Report, judge_stored, report_of
from fhir_ai.findings.lab.reading import USABLE, analyte_of
from fhir_ai.inputs.newest import when
from fhir_ai.inputs.times import hours_before
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Consumer, FeedChange, PluginContext, Resource, decode

_LOG: Final = logging.getLogger(__name__)
_LOINC: Final = b"http://loinc.org"


def consumers(settings: AiSettings) -> list[Consumer]:
    """Return the consumer; none where it is switched off."""
    if settings.lab_feed == "off":
        return []
    return [Consumer("lab", watch, types=("Observation",), batch=50, partitions=2)]


async def watch(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Look at changes."""
    patients: dict[str, Resource | None] = {}
    for change in changes:
        body = change.body
        if change.version == 1 and _LOINC not in body:
            continue
        observation: Mapping[str, Any] = decode(body) if body else {"resourceType": "Observation", "id": change.key.id}
        report = await _judged(ctx, observation, change, patients)
        if report is not None:
            await keep(ctx, observation, change.version, report)


async def _judged(
    ctx: PluginContext, observation: Mapping[str, Any], change: FeedChange, patients: dict[str, Resource | None]
) -> Report | None:
    """Return what there is to keep; an empty report takes back what was said of an earlier version."""
    settings: AiSettings = ctx.settings
    floor = settings.lab_feed
    if floor != "off" and _is_new(observation, change, settings):
        subject = str(observation.get("subject", {}).get("reference", ""))
        if subject not in patients:
            patients[subject] = await _patient(ctx, subject)
        report = await judge_stored(ctx.client, observation, patients[subject], settings)
        if report is not None and report.at_least(floor):
            return report
    if change.version > 1 and await ctx.store.get(ISSUES.name, change.key.id) is not None:
        return report_of(None, ())
    return None


def _is_new(observation: Mapping[str, Any], change: FeedChange, settings: AiSettings) -> bool:
    """Tell whether an Observation is a laboratory result of these days that stands."""
    if observation.get("status") not in USABLE or analyte_of(observation) is None:
        return False
    at, _ = when(observation)
    return at is None or hours_before(change.last_updated, at) <= settings.lab_feed_hours


async def _patient(ctx: PluginContext, subject: str) -> Resource | None:
    type_, _, id_ = subject.partition("/")
    return await ctx.client.find("Patient", id_) if type_ == "Patient" and id_ and "/" not in id_ else None
