"""Which view is meant, and which resources it is run on."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_server.plugin_api import (
    BadRequest,
    FhirError,
    Forbidden,
    Gone,
    Inputs,
    InvalidResource,
    Issue,
    NotFound,
    PluginContext,
    Services,
    Snapshot,
    UnknownPath,
    Wanted,
    model_of,
)
from fhir_views.engine import View, ViewError, compile_view

_TYPE = "ViewDefinition"


@dataclass(frozen=True, slots=True)
class Filter:
    """What is wanted of the resources; `patients` None means those of all.

    Attributes:
        since: milliseconds since 1970 UTC; resources must have been changed later.
    """

    patients: tuple[str, ...] | None = None
    since: int | None = None


async def view_of(ctx: PluginContext, inputs: Inputs, id_: str | None, place: str = "") -> View:
    """The view that a call names: by the URL, by reference, or given itself.

    Raises:
        BadRequest: none is named, or more than one.
        NotFound: it is not there.
        InvalidResource: it is wrong; each issue has its place.
    """
    reference, given = inputs.one("viewReference"), inputs.one("viewResource")
    named = [each for each in (id_, reference, given) if each is not None]
    if len(named) != 1:
        said = "name the view once: by viewReference, or by viewResource, or by calling the operation on it"
        raise BadRequest(said, expression=f"{place}viewReference")
    if given is not None:
        return compiled(ctx, given, f"{place}viewResource")
    if id_ is not None:
        return compiled(ctx, await ctx.client.read(_TYPE, id_), _TYPE)
    return compiled(ctx, await _referenced(ctx, reference, place), _TYPE)


def compiled(ctx: PluginContext, definition: Any, place: str = _TYPE) -> View:
    """Compile, with faults as issues.

    Raises:
        InvalidResource: the definition is wrong.
    """
    try:
        return compile_view(
            definition, model=model_of(ctx.core.definitions), limits=ctx.settings.limits, services=Services()
        )
    except ViewError as error:
        raise refusal(error, place) from None


def refusal(error: ViewError, place: str = _TYPE) -> FhirError:
    """A fault of a view, or of one of its rows, as the answer to its caller."""
    issues = [
        Issue(str(error) if len(error.faults) == 1 else str(fault), "invalid", expression=(_at(fault.place, place),))
        for fault in error.faults
    ]
    return InvalidResource(f"the view is wrong: {error}", issues=issues)


def refused_warnings(view: View, place: str) -> None:
    """Refuse a view that names what the types do not have; only `Prefer: handling=strict` asks for that.

    Raises:
        InvalidResource: it does.
    """
    if view.warnings:
        raise refusal(ViewError(view.warnings), place)


def _at(place: str, root: str) -> str:
    return root + place.removeprefix(_TYPE)


async def _referenced(ctx: PluginContext, reference: Mapping[str, Any], place: str) -> dict[str, Any]:
    text = str(reference.get("reference") or "")
    local = text.removeprefix(f"{ctx.base}/")
    if local.startswith(f"{_TYPE}/") and local.count("/") == 1:
        return await ctx.client.read(_TYPE, local.partition("/")[2])
    url, _, version = text.partition("|")
    found = await ctx.client.search(_TYPE, [("url", url), ("_sort", "-_lastUpdated")] if url else [("_id", "-")])
    for entry in found.get("entry", ()):
        if not version or entry["resource"].get("version") == version:
            definition: dict[str, Any] = entry["resource"]
            return definition
    raise NotFound(f"there is no view {text[:200]!r}", expression=f"{place}viewReference")


# --- resources


async def filter_of(ctx: PluginContext, inputs: Inputs) -> Filter:
    """What a call wants of the resources.

    Raises:
        BadRequest: another source is asked for, or a reference is none.
        NotFound: a patient or group is not there.
    """
    if inputs.one("source") is not None:
        raise BadRequest(
            "source is not supported: views run on the data of this server",
            issues=[Issue("source is not supported", "not-supported", expression=("source",))],
        )
    groups, named = inputs.many("group"), inputs.many("patient")
    since = _milliseconds(inputs.one("_since"))
    if not groups and not named:
        return Filter(None, since)
    patients = [_id_of(each, "Patient", ctx.base) for each in named]
    for patient in patients:
        await _present(ctx, "Patient", patient)
    for group in groups:
        patients += _members(await _present(ctx, "Group", _id_of(group, "Group", ctx.base)), ctx.base)
    return Filter(tuple(dict.fromkeys(patients)), since)


def _milliseconds(text: str | None) -> int | None:
    """An instant, whose form was checked already."""
    return None if text is None else int(datetime.fromisoformat(text).timestamp() * 1000)


def _id_of(reference: Mapping[str, Any], type_: str, base: str) -> str:
    text = str(reference.get("reference") or "").removeprefix(f"{base}/")
    head, _, id_ = text.partition("/")
    if head != type_ or not id_ or "/" in id_:
        raise BadRequest(f"{text[:80]!r} is no reference to a {type_}", expression=type_.lower())
    return id_


async def _present(ctx: PluginContext, type_: str, id_: str) -> dict[str, Any]:
    try:
        return await ctx.client.read(type_, id_)
    except (NotFound, Gone):
        raise NotFound(f"there is no {type_}/{id_}", expression=type_.lower()) from None


def _members(group: Mapping[str, Any], base: str) -> list[str]:
    found = []
    for member in group.get("member", ()):
        text = str(member.get("entity", {}).get("reference") or "").removeprefix(f"{base}/")
        if text.startswith("Patient/") and not member.get("inactive"):
            found.append(text.partition("/")[2])
    return found


async def bodies(ctx: PluginContext, view: View, wanted: Filter) -> AsyncIterator[list[bytes]]:
    """The resources of a view that the caller may see, as JSON in batches, all of one instant.

    Types that are part of no patient's record are not held to patients.

    Raises:
        FhirError: the caller may not search for them.
    """
    type_ = view.spec.resource
    if type_ not in ctx.core.definitions.resource_types:
        raise UnknownPath(f"there are no resources of type {type_}", expression=f"{_TYPE}.resource")
    snapshot = await Snapshot.latest(ctx.core)
    if not snapshot.may(type_):
        await ctx.client.search(type_, [("_count", "1")])  # refuses as any search does, and is recorded
        raise Forbidden(f"you may not read {type_}", expression=f"{_TYPE}.resource")
    linked = snapshot.links_patients(type_)
    sought = Wanted(since=wanted.since, patients=wanted.patients if linked else None)
    after: int | None = None
    while True:
        page = await snapshot.page(type_, sought, after, ctx.settings.page)
        if page.versions:
            yield [version.stamped() for version in page.versions]
        if page.next is None:
            return
        after = page.next
