"""`$accounting-of-disclosures`: to whom a patient's data went.

Source: 45 CFR 164.528, https://www.ecfr.gov/current/title-45/section-164.528
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fhir_audit.disclosures import forms
from fhir_audit.disclosures.account import Account, Asked, Line, account
from fhir_audit.settings import AuditSettings
from fhir_server.plugin_api import (
    AuditQuery,
    BadRequest,
    BadValue,
    Call,
    FhirResponse,
    Forbidden,
    NotFound,
    Operation,
    Outputs,
    PluginContext,
    ResourceKey,
    account_names,
    audit_version,
    decode,
    encode,
    facts_of,
    instant,
)

YEARS: Final = 6
_FORMATS: Final = ("parameters", "bundle", "csv", "html")
_MOST: Final = 1_000
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_ROLES: Final = frozenset(("admin", "auditor"))
_NAMED: Final = ("Practitioner", "PractitionerRole", "Organization", "RelatedPerson")
DEFINITION: Final[Mapping[str, Any]] = decode(
    files("fhir_audit").joinpath("accounting-of-disclosures.json").read_bytes()
)


def operation() -> Operation:
    """Return the operation."""
    return Operation(facts_of(DEFINITION), _run, "To whom the data of a patient went, when, what, and what for.")


async def _run(ctx: PluginContext, call: Call) -> Outputs | FhirResponse:
    """Answer with the account.

    Raises:
        Forbidden: the caller is no auditor and not this patient, or may not read AuditEvents.
        NotFound: nothing is known of such a patient.
        BadValue: a period that is none.
        TooCostly: very many events in the period.
    """
    id_ = _patient(call)
    await _admit(ctx, id_)
    start, end = _period(ctx, call)
    zone = _zone(ctx)
    since, until = _moment(start, zone), _moment(end + timedelta(days=1), zone)
    settings: AuditSettings = ctx.settings
    asked = Asked(
        id_, since, until, call.inputs.one("all", False), ctx.core.settings.consent_purposes,
        frozenset(settings.tpo_apps), frozenset(settings.tpo_purposes),
    )  # fmt: skip
    found = await account(ctx, asked)
    format_ = call.inputs.one("format", "parameters")
    if format_ not in _FORMATS:
        raise BadValue(f"format: {format_[:40]!r} is none of {', '.join(_FORMATS)}", expression="http.format")
    page = _page(call)
    if format_ == "bundle":
        return await _bundle(ctx, asked, found.seqs, page)
    lines = found.lines[page.start : page.stop]
    names = await _names(ctx, lines)
    if format_ == "csv":
        headers = {"content-disposition": 'attachment; filename="disclosures.csv"'}
        return FhirResponse(200, (forms.table(lines, names),), headers=headers, media_type="text/csv; charset=utf-8")
    if format_ == "html":
        body = forms.page(found, lines, names, (f"Patient/{id_}", start.isoformat(), end.isoformat()))
        return FhirResponse(200, (body,), media_type="text/html; charset=utf-8")
    values = await _values(ctx, asked, found, (start, end))
    values += [("disclosure", forms.parts(line, names)) for line in lines]
    if page.stop < len(found.lines):
        values.append(("next", _next(ctx, call, asked, (start, end), page.stop)))
    return Outputs(values)


def _patient(call: Call) -> str:
    """Return whose account is asked for. Raises BadRequest."""
    request = call.request
    named = str(call.inputs.one("patient", "")).removeprefix("Patient/")
    in_url = request.id if request.type == "Patient" else None
    if request.id is not None and in_url is None:
        raise BadRequest("an account is of a Patient: Patient/ID/$accounting-of-disclosures", expression="http.url")
    if not (in_url or named) or (in_url and named and in_url != named):
        raise BadRequest("name one patient: in the URL, or as `patient`", expression="http.patient")
    if not _ID.fullmatch(in_url or named):
        raise BadRequest("patient: one logical id, or Patient/ID", expression="http.patient")
    return in_url or named


async def _admit(ctx: PluginContext, id_: str) -> None:
    """Let auditors, administrators, the patient and who represents the patient pass. Raises Forbidden, NotFound."""
    caller = ctx.caller
    if not ctx.core.restriction.may("search-type", "AuditEvent"):
        raise Forbidden("an account of disclosures needs a scope to search AuditEvents", expression="http.url")
    if caller.admin or not _ROLES.isdisjoint(caller.roles):
        key = ResourceKey("Patient", id_)
        if await ctx.core.store.read(key) is None and not await _is_recorded(ctx, id_):
            raise NotFound(f"nothing is recorded of {key}", expression="http.url")
        return
    is_theirs = id_ in caller.patients or caller.subject == f"Patient/{id_}"
    represents = caller.subject.startswith(("Patient/", "RelatedPerson/"))
    # Not a read, which would be recorded and stand in the account itself.
    if not (is_theirs or represents) or not await ctx.client.versions_of([ResourceKey("Patient", id_)]):
        raise Forbidden("an account of disclosures is for auditors and the patient", expression="http.url")


async def _is_recorded(ctx: PluginContext, id_: str) -> bool:
    return bool((await ctx.core.store.audit.find(AuditQuery((frozenset((f"Patient/{id_}",)),), count=1))).entries)


def _period(ctx: PluginContext, call: Call) -> tuple[date, date]:
    """Return the first and the last day. Raises BadValue."""
    today = datetime.fromtimestamp(ctx.now() / 1_000, _zone(ctx)).date()
    end = _day(call, "end", today)
    start = _day(call, "start", _years_before(end))
    if start > end:
        raise BadValue(f"start: {start} is after the end, {end}", expression="http.start")
    return start, end


def _day(call: Call, name: str, default: date) -> date:
    text = str(call.inputs.one(name, ""))
    if not text:
        return default
    try:  # a year or a month is its first day
        return date.fromisoformat(f"{text}-01-01"[:10])
    except ValueError:
        raise BadValue(f"{name}: {text[:20]!r} is no day", expression=f"http.{name}") from None


def _years_before(day: date) -> date:
    try:
        return day.replace(year=day.year - YEARS)
    except ValueError:  # 29 February
        return day.replace(year=day.year - YEARS, day=28)


def _zone(ctx: PluginContext) -> tzinfo:
    name = ctx.core.settings.default_timezone
    return UTC if name == "UTC" else ZoneInfo(name)


def _moment(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1_000)


def _page(call: Call) -> slice:
    first = call.inputs.one("offset", 0)
    return slice(first, first + min(call.inputs.one("count", _MOST), _MOST))


async def _values(ctx: PluginContext, asked: Asked, found: Account, days: tuple[date, date]) -> list[tuple[str, Any]]:
    """Return what stands before the disclosures."""
    values: list[tuple[str, Any]] = [
        ("patient", {"reference": f"Patient/{asked.patient}"}),
        ("period", {"start": days[0].isoformat(), "end": days[1].isoformat()}),
    ]
    log = ctx.core.store.audit
    oldest = await log.span(await log.first(), await log.first())
    if oldest and oldest[0].time > asked.since:
        values.append(("recordedSince", instant(oldest[0].time)))
    values.append(("total", len(found.lines)))
    if not asked.everything:
        values += [("leftOut", [("reason", why), ("count", n)]) for why, n in sorted(found.left_out.items())]
    return values


def _next(ctx: PluginContext, call: Call, asked: Asked, days: tuple[date, date], offset: int) -> str:
    """Return the URL of what follows; it names the period, so that it stays the same tomorrow."""
    query = {"patient": asked.patient, "start": days[0], "end": days[1], "offset": offset}
    query["count"] = min(call.inputs.one("count", _MOST), _MOST)
    if asked.everything:
        query["all"] = "true"
    return f"{ctx.base}/{call.request.type}/$accounting-of-disclosures?{urlencode(query)}"


async def _names(ctx: PluginContext, lines: Sequence[Line]) -> dict[str, str]:
    """Return the names of those who got data; other patients are not named."""
    subjects = {line.agent.subject for line in lines if line.agent.subject.partition("/")[0] in _NAMED}
    keys = [ResourceKey(*subject.split("/", 1)) for subject in sorted(subjects) if subject.count("/") == 1]
    versions = await ctx.own.versions_of(keys)
    named = {str(key): name for key, version in versions.items() if (name := _name(decode(version.stamped())))}
    accounts = {line.agent.user for line in lines if line.agent.user and not line.agent.subject}
    return named | await account_names(ctx.core.store, accounts)


def _name(resource: Mapping[str, Any]) -> str:
    name = resource.get("name")
    if isinstance(name, str):
        return name
    first = name[0] if isinstance(name, list) and name else {}
    return str(first.get("text") or " ".join([*first.get("given", ()), first.get("family", "")])).strip()


async def _bundle(ctx: PluginContext, asked: Asked, seqs: Sequence[int], page: slice) -> FhirResponse:
    """Answer with the AuditEvents, without the other patients of the same events."""
    log = ctx.core.store.audit
    entries = []
    for seq in seqs[page]:
        row = await log.read(seq)
        if row is not None:
            url = encode(f"{ctx.base}/AuditEvent/{seq}")
            resource = audit_version(row, ctx.base, frozenset((asked.patient,))).stamped()
            entries.append(b'{"fullUrl":%b,"resource":%b}' % (url, resource))
    head = {"resourceType": "Bundle", "id": ctx.new_id(), "type": "collection", "timestamp": instant(ctx.now())}
    body = encode(head)[:-1] + (b',"entry":[' + b",".join(entries) + b"]}" if entries else b"}")
    return FhirResponse(200, (body,))
