"""What belongs to a patient or an encounter, as one search over many types.

Spec: https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from fhir_server.context import Context
from fhir_server.definitions import Definitions
from fhir_server.errors import BadValue
from fhir_server.operations.inputs import Inputs
from fhir_server.search import query as q
from fhir_server.search.dates import date_bounds
from fhir_server.search.parameters import ParameterRegistry

# The date of care by type: the first of these that the type has. `date` first, as on Observation and Encounter.
_CARE_DATES = (
    "date", "period", "authoredon", "effective-time", "onset-date", "performed", "whenprepared", "when-prepared",
    "whenhandedover", "sent", "created", "authored-on", "authored", "started", "issued", "recorded", "recorded-date",
    "occurrence", "service-date", "billable-period", "event-date", "start-date", "timeframe", "asserted-date",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a call asks for beyond whose: types (none: all), since (milliseconds), care dates (microseconds)."""

    types: frozenset[str] = frozenset()
    since: int | None = None
    start: int | None = None
    end: int | None = None

    @classmethod
    def of(cls, ctx: Context, inputs: Inputs) -> "Bounds":
        """Read the parameters that all the `$everything` share. Raises BadValue for an unknown type."""
        types = [name.strip() for text in inputs.many("_type") for name in text.split(",")]
        for name in types:
            if name not in ctx.definitions.resource_types:
                raise BadValue(f"_type: {name[:80]!r} is not a resource type", expression="http._type")
        zone: tzinfo = UTC if ctx.settings.default_timezone == "UTC" else ZoneInfo(ctx.settings.default_timezone)
        low = {name: date_bounds(inputs.one(name), zone) for name in ("_since", "start", "end") if inputs.one(name)}
        return cls(
            frozenset(types),
            -(-low["_since"][0] // 1000) if "_since" in low else None,
            low["start"][0] if "start" in low else None,
            low["end"][1] if "end" in low else None,
        )

    def wants(self, type_: str) -> bool:
        """Tell whether a type is asked for."""
        return not self.types or type_ in self.types


def branches(ctx: Context, compartment: str, id_: str | None, bounds: Bounds) -> dict[str, q.Node]:
    """Return the search tree of each type that can belong to the resource (any of its type if `id_` is None)."""
    found = {}
    for type_, codes in members(ctx.definitions, ctx.parameters, compartment).items():
        if bounds.wants(type_) and ctx.restriction.may("search-type", type_):
            nodes = [_any(_node(ctx.parameters, type_, code, compartment, id_) for code in codes)]
            found[type_] = _all([*nodes, *_limits(ctx.parameters, type_, compartment, bounds)])
    return found


def members(facts: Definitions, registry: ParameterRegistry, compartment: str) -> Mapping[str, tuple[str, ...]]:
    """Return type to search parameters that lead to the compartment's resource; `_id` is the resource itself.

    For patients that is more than the R4 compartment, which leaves out Task, Device, GuidanceResponse and others.
    """
    found = {type_: codes for type_, codes in facts.compartments[compartment].items() if codes}
    found[compartment] = ("_id", *(code for code in found.get(compartment, ()) if code not in ("_id", "link")))
    if compartment != "Patient":
        return found
    for type_, links in facts.patient_links.items():
        direct = any(link.via is None for link in links)
        if type_ not in found and direct and (code := _patient_code(registry, type_)):
            found[type_] = (code,)
    return found


def _patient_code(registry: ParameterRegistry, type_: str) -> str | None:
    for code in ("patient", "subject", "beneficiary"):
        parameter = registry.get(type_, code)
        if parameter is not None and parameter.type == "reference" and "Patient" in parameter.targets:
            return code
    return None


def _node(registry: ParameterRegistry, type_: str, code: str, compartment: str, id_: str | None) -> q.Node:
    if code == "_id":
        return q.EVERYTHING if id_ is None else q.Ids((id_,))
    parameter = registry.get(type_, code)
    if parameter is None:
        return q.NOTHING
    if id_ is None:
        return q.Chain(code, compartment, q.EVERYTHING)
    return q.Reference(code, (q.ReferenceValue(compartment, id_),), parameter.targets)


def _limits(registry: ParameterRegistry, type_: str, compartment: str, bounds: Bounds) -> Iterable[q.Node]:
    """Yield the nodes of `_since`, `start` and `end`; what has no date of care is part of everything."""
    if bounds.since is not None:
        low = bounds.since * 1000
        yield q.LastUpdated((q.DateValue(q.Prefix.GE, low, low + 1000),))
    code = None if type_ == compartment else care_date(registry, type_)
    if code is None:
        return
    if bounds.start is not None:
        yield q.Or((q.Missing(code, True), q.Date(code, (q.DateValue(q.Prefix.GE, bounds.start, bounds.start + 1),))))
    if bounds.end is not None:
        yield q.Or((q.Missing(code, True), q.Date(code, (q.DateValue(q.Prefix.LT, bounds.end, bounds.end + 1),))))


def care_date(registry: ParameterRegistry, type_: str) -> str | None:
    """Return the code of the date parameter that says when the care was."""
    for code in _CARE_DATES:
        parameter = registry.get(type_, code)
        if parameter is not None and parameter.type == "date":
            return code
    return None


def _any(nodes: Iterable[q.Node]) -> q.Node:
    found = tuple(nodes)
    return found[0] if len(found) == 1 else q.Or(found)


def _all(nodes: list[q.Node]) -> q.Node:
    kept = tuple(node for node in nodes if node != q.EVERYTHING)
    return kept[0] if len(kept) == 1 else q.And(kept)
