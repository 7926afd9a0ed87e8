"""Observation `$stats`: statistics of a subject's observations, one Observation for each code.

Spec: https://hl7.org/fhir/R4/observation-operation-stats.html
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue
from fhir_server.model.json import decode
from fhir_server.model.version import Version, instant
from fhir_server.operations.everything_shared import walk
from fhir_server.operations.facts import r4
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.observed import VOID, Json, made_at, must_be_searchable
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.operations.stats_formulas import CODES, COUNTS, REGRESSION, STATISTICS, SYSTEM, Measure, line
from fhir_server.operations.stats_values import Measured, Unit, in_one_unit, measured, values_of
from fhir_server.search import query as q
from fhir_server.search.parser import parse_search
from fhir_server.search.units import UCUM

_AT_ONCE = 1_000
_HOUR = 3_600_000_000
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call: whose observations, the codings, the statistics, and the period as R4 has it."""

    subject: str
    codings: tuple[Json, ...]
    statistics: tuple[str, ...]
    period: Mapping[str, str]


class _Found(NamedTuple):
    """What was found for one code: the values, newest first, and how many there are with those that do not count."""

    values: list[Measured]
    total: int


async def _run(ctx: Context, call: Call) -> Outputs:
    must_be_searchable(ctx)
    asked = _asked(ctx, call.inputs)
    zone = ZoneInfo(ctx.settings.default_timezone)
    found: list[tuple[int, Version, Json]] = []
    async for versions in walk(ctx, _search(ctx, asked)):
        found += await asyncio.to_thread(_read, versions, zone)
    found.sort(key=lambda row: (row[0], row[1].pid), reverse=True)
    made = await asyncio.to_thread(_statistics, asked, [resource for _, _, resource in found], zone)
    sources = [version for _, version, _ in found] if call.inputs.one("include", False) else []
    limited = sources[: call.inputs.one("limit")]
    return Outputs([*(("statistics", one) for one in made), *(("source", version.stamped()) for version in limited)])


def _asked(ctx: Context, inputs: Inputs) -> _Asked:
    subject = inputs.one("subject")
    if "/" not in subject:
        raise BadValue("subject is a reference like Patient/123", expression="http.subject")
    system = {"system": inputs.one("system")} if inputs.one("system") is not None else {}
    named = [{**system, "code": code} for code in inputs.many("code")]
    named += [{k: v for k, v in one.items() if k in ("system", "code", "display")} for one in inputs.many("coding")]
    if not named or not all(one.get("code") for one in named):
        raise BadRequest("$stats needs a code, or a coding with a code", expression="http.code")
    statistics = tuple(dict.fromkeys(inputs.many("statistic")))
    for code in statistics:
        if code not in CODES:
            raise BadValue(f"statistic: {code[:80]!r} is none of {', '.join(CODES)}", expression="http.statistic")
    unique = {(one.get("system"), one["code"]): one for one in reversed(named)}
    return _Asked(subject, tuple(reversed(unique.values())), statistics, _period(ctx, inputs))


def _period(ctx: Context, inputs: Inputs) -> Mapping[str, str]:
    """Return the period that is asked about: the last hours, one with bounds, or none."""
    hours, period = inputs.one("duration"), inputs.one("period")
    if hours is None:
        return {key: period[key] for key in ("start", "end") if key in period} if period else {}
    if period is not None:
        raise BadRequest("$stats takes a duration or a period, not both", expression="http.duration")
    now = ctx.now()
    if not (Decimal(hours).is_finite() and 0 < hours <= 24 * 366 * 500):
        raise BadValue(f"duration={hours}: a number of hours above 0", expression="http.duration")
    return {"start": instant(now - int(hours * 3_600_000)), "end": instant(now)}


def _search(ctx: Context, asked: _Asked) -> q.Search:
    codes = ",".join(f"{_plain(one['system'])}|{_plain(one['code'])}" if "system" in one else _plain(one["code"])
                     for one in asked.codings)  # fmt: skip
    bounds = zip(("ge", "le"), ("start", "end"), strict=True)
    dates = [("date", f"{prefix}{asked.period[key]}") for prefix, key in bounds if key in asked.period]
    parsed = parse_search(
        (("subject", _plain(asked.subject)), ("combo-code", codes), *dates),
        types=("Observation",),
        registry=ctx.parameters,
        settings=ctx.settings,
        visibility=ctx.restriction.visibility,
        own_base=ctx.base,
        expander=ctx.terminology,
        now=ctx.now(),
    )
    return replace(parsed.search, count=_AT_ONCE)


def _plain(text: str) -> str:
    """Escape what is a mark in search values. Spec: https://hl7.org/fhir/R4/search.html#escaping"""
    for mark in "\\,|$":
        text = text.replace(mark, f"\\{mark}")
    return text


def _read(versions: Sequence[Version], zone: ZoneInfo) -> list[tuple[int, Version, Json]]:
    read = ((version, decode(version.body.data)) for version in versions)
    rows = ((made_at(resource, zone), version, resource) for version, resource in read)
    return [
        (version.last_updated * 1000 if at is None else at, version, resource)
        for at, version, resource in rows
        if resource.get("status") not in VOID
    ]


def _statistics(asked: _Asked, resources: Sequence[Json], zone: ZoneInfo) -> list[dict[str, Any]]:
    return [_observation(asked, coding, _found(coding, resources, zone)) for coding in asked.codings]


def _found(coding: Json, resources: Sequence[Json], zone: ZoneInfo) -> _Found:
    rows = [
        measured(holder, made_at(resource, zone))
        for resource in resources
        for holder in values_of(resource, coding.get("system"), coding["code"])
    ]
    return _Found([row for row in rows if row is not None], len(rows))


def _observation(asked: _Asked, coding: Json, found: _Found) -> dict[str, Any]:
    effective = {"effectivePeriod": dict(asked.period)} if asked.period else {}
    values, unit = in_one_unit(found.values)
    points = [(one.at, value) for one, value in zip(found.values, values, strict=True) if one.at is not None]
    values.sort()
    components: list[dict[str, Any]] = []
    for code in asked.statistics:
        if code == REGRESSION:
            components += _regression(points, unit)
        elif code in COUNTS:
            count = found.total if code == "total-count" else len(values)
            components.append(_component(code, COUNTS[code], count, Unit("1", UCUM, "1")))
        else:
            components.append(_of_values(code, values, unit))
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [dict(coding)]},
        "subject": {"reference": asked.subject},
        **effective,
        "component": components,
    }


def _of_values(code: str, values: Sequence[float], unit: Unit) -> dict[str, Any]:
    statistic = STATISTICS[code]
    value = statistic.formula(values) if len(values) >= statistic.needs else None
    if statistic.measure is Measure.NUMBER:
        return _component(code, statistic.display, value, Unit("1", UCUM, "1"))
    if statistic.measure is Measure.VALUE:
        return _component(code, statistic.display, value, unit)
    factor, difference = unit.difference()
    if statistic.measure is Measure.SQUARE:
        factor, difference = factor**2, difference.derived("2")
    return _component(code, statistic.display, None if value is None else value * factor, difference)


def _regression(points: Sequence[tuple[int, float]], unit: Unit) -> Iterator[dict[str, Any]]:
    """Yield gradient and intercept, as R4 wants both: hours are counted from the first value."""
    first = min((at for at, _ in points), default=0)
    found = line([((at - first) / _HOUR, value) for at, value in points])
    gradient, intercept = found if found is not None else (None, None)
    factor, difference = unit.difference()
    slope = None if gradient is None else gradient * factor
    yield _component(REGRESSION, "Regression: gradient", slope, difference.derived("/h"))
    yield _component(REGRESSION, "Regression: intercept", intercept, unit)


def _component(code: str, text: str, value: float | None, unit: Unit) -> dict[str, Any]:
    named = {"code": {"coding": [{"system": SYSTEM, "code": code}], "text": text}}
    if value is None:
        return {**named, "dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "not-a-number"}]}}
    return {**named, "valueQuantity": {"value": Decimal(f"{value:.12g}"), **unit.json()}}


stats = CoreOperation(
    facts=r4("Observation-stats"),
    handler=_run,
    summary="Statistics of the values that a subject was observed with, for each code.",
)
