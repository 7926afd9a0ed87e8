"""`$count-by`: how many of the resources that a search finds have which code, refer to what, or are of which date.

The counts are of what the caller may see. Where the engine can count the whole search by itself, restrictions included,
it does; else what the search finds is read, up to a limit, and counted here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from zoneinfo import ZoneInfo

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue, Forbidden, NotAcceptable, TooCostly
from fhir_server.interactions.evening import even_out
from fhir_server.interactions.search import parsed
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import decode
from fhir_server.model.version import Version
from fhir_server.operations.count_by_answer import Answer, as_csv, as_parameters
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.search.controls import is_control
from fhir_server.search.masked import hold_to
from fhir_server.search.parser import ParsedSearch
from fhir_server.search.query import EVERYTHING, Search, SortKey
from fhir_server.storage.base.counting import UPDATED, By, Counted, Counts, TooManyGroups, labels_of

_AT_ONCE = 1_000
_UNITS = ("year", "month", "day")
_CSV = frozenset(("csv", "text/csv"))


async def _run(ctx: Context, call: Call) -> Outputs | FhirResponse:
    """Count.

    Raises:
        BadRequest: a parameter that cannot be counted by, or that has no meaning here.
        Forbidden: the caller may not search the type, or not by that parameter.
        TooCostly: too many groups, or too many resources for what has to be read.
    """
    began, csv, type_ = perf_counter(), _is_csv(call), call.request.type or ""
    if not ctx.restriction.may("search-type", type_):
        raise Forbidden(f"search of {type_} is not allowed", expression="http.url")
    if type_ == "AuditEvent" and ctx.auditor is not None:
        raise BadRequest("AuditEvents are kept beside the record, and are not counted by group", expression="http.url")
    by = tuple(_by(ctx, type_, text) for text in call.inputs.many("by"))
    hold_to(
        Search({type_: EVERYTHING}, sort=tuple(SortKey(each.param) for each in by)), ctx.restriction.visibility.unasked
    )
    asked = _asked(ctx, call)
    counted = await _counted(ctx, asked, by)
    if not counted.total:
        await even_out(ctx, call.request, began)
    url = f"{call.request.base}/{type_}"
    answer = Answer(by, counted, url, asked, ctx.settings.count_by_least, call.inputs.one("max"))
    return as_csv(answer) if csv else Outputs(as_parameters(answer))


def _is_csv(call: Call) -> bool:
    """Tell whether CSV is wanted. Raises NotAcceptable for what is neither that nor FHIR."""
    wanted = call.request.parameter("_format")
    if wanted is None:
        return "text/csv" in call.request.headers.get("accept", "")
    if wanted not in _CSV and "json" not in wanted and "xml" not in wanted:
        raise NotAcceptable(f"$count-by answers in JSON, XML or CSV, not {wanted[:80]}", expression="http._format")
    return wanted in _CSV


def _by(ctx: Context, type_: str, text: str) -> By:
    code, colon, unit = text.partition(":")
    parameter = ctx.parameters.get(type_, code)
    if parameter is None:
        raise BadRequest(f"by={text[:100]}: {type_} has no search parameter {code[:100]!r}", expression="http.by")
    kind = parameter.type
    if kind == "date":
        if colon and unit not in _UNITS:
            raise BadValue(f"by={text[:100]}: a date is counted by year, month or day", expression="http.by")
        zone = ZoneInfo(ctx.settings.default_timezone)
        return By(code, "date", unit or "month", zone)  # type: ignore[arg-type]  # one of the three
    if colon or kind not in ("token", "reference") or code == "_id":
        what = f"a {kind} takes no {unit[:40]!r}" if colon else f"it is of type {kind}"
        what = "each resource has its own" if code == "_id" else what
        raise BadValue(
            f"by={text[:100]}: {what}; parameters of type token, reference and date are counted by",
            expression="http.by",
        )
    return By(code, "token" if kind == "token" else "reference", folds=parameter.ignores_case)


def _asked(ctx: Context, call: Call) -> ParsedSearch:
    for name, _ in call.search:
        if is_control(name):
            raise BadRequest(f"$count-by shows no resources and takes no {name[:80]}", expression=f"http.{name[:80]}")
    return parsed(ctx, call.request.but(query=call.search))


async def _counted(ctx: Context, asked: ParsedSearch, by: Sequence[By]) -> Counted:
    """Count by the engine, if it can and shows to the caller what is stored; else one by one."""
    store, most = ctx.store, ctx.settings.count_by_groups
    changed = ctx.restriction.mask is not None or (ctx.deciders is not None and ctx.deciders.shows)
    try:
        if store.capabilities.counts and not changed and isinstance(store, Counts):
            found = await store.counted(asked.search, by, most)
            if found is not None:
                return found
        return await _one_by_one(ctx, asked.search, by)
    except TooManyGroups:
        said = f"there are more than {most} groups; narrow the search, or count by something coarser"
        raise TooCostly(said, expression="http.by") from None


async def _one_by_one(ctx: Context, search: Search, by: Sequence[By]) -> Counted:
    """Read what the search finds, at one instant, and count it."""
    found, notes = Counted(), dict[str, None]()
    search = replace(search, count=_AT_ONCE, includes=(), sort=())
    while True:
        page = await ctx.store.search(search)
        notes |= dict.fromkeys(page.notes)
        if found.total + len(page.versions) > ctx.settings.count_by_read:
            raise TooCostly(
                f"more than {ctx.settings.count_by_read} resources would have to be read to be counted; narrow the"
                " search",
                expression="http.url",
            )
        await asyncio.to_thread(_add, ctx, by, await _shown(ctx, page.versions), found)
        if len(found.groups) > ctx.settings.count_by_groups:
            raise TooManyGroups
        if page.next is None:
            found.notes = tuple(notes)
            return found
        search = replace(search, after=page.next)


async def _shown(ctx: Context, versions: Sequence[Version]) -> Sequence[Version]:
    if ctx.deciders is None or not ctx.deciders.shows:
        return versions
    return [await ctx.deciders.version(ctx, version) for version in versions]


def _add(ctx: Context, by: Sequence[By], versions: Sequence[Version], found: Counted) -> None:
    codes = frozenset(each.param for each in by) - {UPDATED}
    for version in versions:
        resource = decode(version.body.data)
        entries = ctx.extractor.some(version.key.type, resource, codes, own_base=ctx.base)
        found.add([labels_of(each, version, entries) for each in by])


count_by = CoreOperation(
    facts=own("count-by"),
    handler=_run,
    summary="How many of the resources that a search finds have which code, refer to what, or are of which date.",
    searches=True,
    any_format=True,
)
