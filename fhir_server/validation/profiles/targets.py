"""Where references lead: to what is contained, to entries of the Bundle, to what is elsewhere.

Spec: https://hl7.org/fhir/R4/references.html and https://hl7.org/fhir/R4/bundle.html#references
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.validation.profiles.spot import Spot, resource_around, resource_type, with_parents
from fhir_server.validation.run import Run

Mode = Literal["contained", "bundled", "referenced"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference leads to: how, and the resource with its place; None where it is not at hand."""

    mode: Mode
    spot: Spot | None


def literal(value: Any) -> str | None:
    """Return the literal reference in a Reference, or in a canonical or URI itself."""
    found = value.get("reference") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def named_type(value: Any, definitions_types: Mapping[str, Any]) -> str:
    """Return the resource type that a Reference names; empty where it names none."""
    reference = literal(value) or ""
    steps = reference.partition("/_history/")[0].split("/")
    if len(steps) > 1 and steps[-2] in definitions_types:
        return steps[-2]
    named = value.get("type") if isinstance(value, dict) else None
    return named if isinstance(named, str) else ""


def resolve(spot: Spot, run: Run) -> Target:
    """Follow a reference; a reference without a literal leads nowhere."""
    reference = literal(spot.value)
    if reference is None:
        return Target("referenced", None)
    if reference.startswith("#"):
        return Target("contained", _contained(reference[1:], spot, run))
    bundled = _bundled(reference, spot, run) if resource_type(run.root) == "Bundle" else None
    return Target("bundled", bundled) if bundled else Target("referenced", _elsewhere(reference, run))


def _contained(local_id: str, spot: Spot, run: Run) -> Spot | None:
    container = resource_around(with_parents(spot, run))
    if container.name == "contained" and isinstance(container.above, Spot):
        container = resource_around(container.above)
    if not local_id:
        return container
    contained = container.fields.get("contained")
    for index, value in enumerate(contained if isinstance(contained, list) else ()):
        if isinstance(value, dict) and value.get("id") == local_id:
            return Spot(container, "contained", index, value, resource_type(value))
    return None


def _bundled(reference: str, spot: Spot, run: Run) -> Spot | None:
    entries = _entries(run)
    plain = reference.partition("/_history/")[0]
    index = entries.get(plain)
    if index is None and ":" not in plain:
        index = entries.get(_base(spot, run) + plain, entries.get("/" + plain))
    if index is None:
        return None
    bundle = Spot(None, "Bundle", -1, run.root, "Bundle")
    entry = Spot(bundle, "entry", index, run.root["entry"][index], "Bundle.entry")
    value = entry.value["resource"]
    return Spot(entry, "resource", -1, value, resource_type(value))


def _entries(run: Run) -> dict[str, int]:
    """Full URLs of the entries of the Bundle, and `/Patient/1` for each."""
    found: dict[str, int] | None = run.memo.get("profiles.entries")
    if found is None:
        found = run.memo["profiles.entries"] = {}
        entries = run.root.get("entry")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            value = entry.get("resource") if isinstance(entry, dict) else None
            if type(value) is dict:
                _register(found, entry.get("fullUrl"), value, index)
    return found


def _register(found: dict[str, int], url: Any, resource: Mapping[str, Any], index: int) -> None:
    if isinstance(url, str):
        found.setdefault(url, index)
        steps = url.split("/")
        if len(steps) > 1:
            found.setdefault("/" + "/".join(steps[-2:]), index)
    found.setdefault(f"/{resource_type(resource)}/{resource.get('id')}", index)


def _base(spot: Spot, run: Run) -> str:
    """The base of the full URL of the entry that a reference stands in."""
    place = with_parents(spot, run)
    while isinstance(place.above, Spot):
        place = place.above
        if place.type == "Bundle.entry":
            steps = str(place.fields.get("fullUrl") or "").split("/")
            return "/".join(steps[:-2]) + "/"
    return ""


def _elsewhere(reference: str, run: Run) -> Spot | None:
    key = "profiles.resolved", reference
    if key not in run.memo:
        run.memo[key] = run.resolve(reference)
    value = run.memo[key]
    return Spot(None, resource_type(value), -1, value, resource_type(value)) if value is not None else None
