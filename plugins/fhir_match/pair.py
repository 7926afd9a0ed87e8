"""The two patients that a merge names: found by reference or identifiers, and fit to be merged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_match.features import is_replaced
from fhir_server.plugin_api import BadRequest, Conflict, Gone, Inputs, InvalidResource, NotFound, PluginContext

_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\,$|"})


@dataclass(frozen=True, slots=True)
class Pair:
    """Source and target as they are stored."""

    source: dict[str, Any]
    target: dict[str, Any]


async def pair(ctx: PluginContext, inputs: Inputs) -> Pair:
    """Return the patients of a call.

    Raises:
        BadRequest: neither reference nor identifier, or those of different patients.
        NotFound: there is no such patient that the caller may see.
        Conflict: one of them gave way to another already, or both are the same.
    """
    source, target = await _one(ctx, inputs, "source"), await _one(ctx, inputs, "target")
    if source["id"] == target["id"]:
        raise Conflict("source and target are the same patient", expression="target-patient")
    for role, each in (("source", source), ("target", target)):
        if is_replaced(each):
            said = f"the {role} Patient/{each['id']} gave way to another already"
            raise Conflict(f"{said}: name that one, or undo that merge", expression=f"{role}-patient")
    return Pair(source, target)


async def patient_of(ctx: PluginContext, reference: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the patient that a Reference names. Raises BadRequest, NotFound."""
    key = named(ctx.base, reference)
    if key is None:
        raise BadRequest(f"{place} has to name a Patient of this server, as `Patient/123`", expression=place)
    try:
        return await ctx.client.read("Patient", key)
    except (NotFound, Gone):
        raise InvalidResource(f"{place}: there is no Patient/{key}", expression=place) from None


def named(base: str, reference: Mapping[str, Any]) -> str | None:
    """Return the id of the patient that a Reference names here."""
    text = str(reference.get("reference") or "").removeprefix(f"{base}/")
    type_, _, id_ = text.partition("/")
    return id_ if type_ == "Patient" and id_ and "/" not in id_ and len(id_) <= 64 else None


async def _one(ctx: PluginContext, inputs: Inputs, role: str) -> dict[str, Any]:
    reference, identifiers = inputs.one(f"{role}-patient"), inputs.many(f"{role}-patient-identifier")
    if reference is None and not identifiers:
        raise BadRequest(f"name the {role}: {role}-patient or {role}-patient-identifier", expression=f"{role}-patient")
    found = [await patient_of(ctx, reference, f"{role}-patient")] if reference is not None else []
    if identifiers:
        found.append(await _by_identifiers(ctx, identifiers, f"{role}-patient-identifier"))
    if len({each["id"] for each in found}) > 1:
        raise BadRequest(f"reference and identifiers of the {role} are of two patients", expression=f"{role}-patient")
    return found[0]


async def _by_identifiers(ctx: PluginContext, identifiers: Sequence[Mapping[str, Any]], place: str) -> dict[str, Any]:
    """Return the one patient that has all of them and did not give way to another."""
    criteria = []
    for each in identifiers:
        system, value = (str(each.get(name) or "").translate(_SPECIAL) for name in ("system", "value"))
        if not value:
            raise BadRequest(f"{place} needs a value, and a system where it has one", expression=place)
        criteria.append(("identifier", f"{system}|{value}" if system else value))
    bundle = await ctx.client.search("Patient", [*criteria, ("_count", "10")])
    found: list[dict[str, Any]] = [
        entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"
    ]
    found = [each for each in found if not is_replaced(each)] or found
    if len(found) != 1:
        said = "several patients have" if found else "no patient has"
        raise InvalidResource(f"{place}: {said} these identifiers", expression=place)
    return found[0]
