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
    found = await named(ctx, inputs, id_, Naming(_TYPE, "view", place))
    given = inputs.one("viewResource") is not None
    return compiled(ctx, found, f"{place}viewResource" if given else _TYPE)


@dataclass(frozen=True, slots=True)
class Naming:
    """How a call names a resource of a type: `wordReference`, `wordCanonical` and `wordResource`, below a place."""

    type: str
    word: str
    place: str = ""

    def at(self, ending: str) -> str:
        """The place of one of them."""
        return f"{self.place}{self.word}{ending}"


async def named(ctx: PluginContext, inputs: Inputs, id_: str | None, naming: Naming) -> dict[str, Any]:
    """The resource that a call names: by the URL, by reference, by its canonical URL, or given itself.

    Raises:
        BadRequest: none is named, or more than one.
        NotFound: it is not there.
    """
    word = naming.word
    asked = {ending: inputs.one(f"{word}{ending}") for ending in ("Reference", "Canonical", "Resource")}
    if sum(each is not None for each in (id_, *asked.values())) != 1:
        ways = f"{word}Reference, {word}Canonical or {word}Resource"
        said = f"name the {word} once: by {ways}, or by calling the operation on it"
        raise BadRequest(said, expression=naming.at("Reference"))
    if (given := asked["Resource"]) is not None:
        resource: dict[str, Any] = given
        return resource
    if id_ is not None:
        return await ctx.client.read(naming.type, id_)
    if (url := asked["Canonical"]) is not None:
        return await canonical(ctx, naming.type, url, naming.at("Canonical"))
    text = str(asked["Reference"].get("reference") or "")
    return await stored(ctx, naming.type, text, naming.at("Reference"))


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


async def stored(ctx: PluginContext, type_: str, text: str, place: str) -> dict[str, Any]:
    """The resource that a reference names, relative or below our base, or a canonical URL. Raises NotFound."""
    local = text.removeprefix(f"{ctx.base}/")
    if local.startswith(f"{type_}/") and local.count("/") == 1:
        return await ctx.client.read(type_, local.partition("/")[2])
    return await canonical(ctx, type_, text, place)


async def canonical(ctx: PluginContext, type_: str, text: str, place: str) -> dict[str, Any]:
    """The resource that has a canonical URL, with or without version. Raises NotFound."""
    url, _, version = text.partition("|")
    found = await ctx.client.search(type_, [("url", url), ("_sort", "-_lastUpdated")] if url else [("_id", "-")])
    for entry in found.get("entry", ()):
        if not version or entry["resource"].get("version") == version:
            definition: dict[str, Any] = entry["resource"]
            return definition
    raise NotFound(f"there is no {type_} {text[:200]!r}", expression=place)


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
