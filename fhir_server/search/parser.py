"""From the parameters of a URL to one restricted search in the neutral tree.

Spec: https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from fhir_server import definitions
from fhir_server.errors import BadRequest, BadValue, Issue, TooCostly, UnknownPath
from fhir_server.model.exchange import Query
from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.asked import ValueReader, is_unicode
from fhir_server.search.chains import Names
from fhir_server.search.controls import ContainedType, Controls, Place, Summary, is_control, read_control
from fhir_server.search.expander import CodeExpander
from fhir_server.search.filter import parse_filter
from fhir_server.search.links import query_hash
from fhir_server.search.masked import hold_to
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parse_values import read
from fhir_server.search.restrict import restrict
from fhir_server.settings import Settings

_UNNAMED = frozenset({"_format", "_pretty", "_page"})
"""Not part of what was searched for, so neither of `applied` nor of the hash that ties page links to a query."""

_IMPOSSIBLE = "nothing is found by a reference that no resource has"
_MAY_BE_EMPTY = _UNNAMED | {"__explain"}


@dataclass(frozen=True, slots=True)
class ParsedSearch:
    """A search, read and restricted.

    applied: the parameters that were applied, in their order, for the `self` link; `_count` as it was honoured.
    issues: what was ignored (lenient) or changed (a `_count` over the limit).
    page: the token of a page link, not yet decoded: decode it with `links`, give its `now` to the parser, and put
        `PageLink.cursor_of(fingerprint)` into `search.after`.
    fingerprint: a hash of the query, the same for all pages of it.
    """

    search: q.Search
    applied: tuple[tuple[str, str], ...] = ()
    issues: tuple[Issue, ...] = ()
    summary: Summary = Summary.FALSE
    elements: tuple[str, ...] = ()
    contained_type: ContainedType = ContainedType.CONTAINER
    explain: bool = False
    page: str | None = None
    fingerprint: str = ""


def parse_search(
    query: Query,
    *,
    types: tuple[str, ...],
    registry: ParameterRegistry,
    settings: Settings,
    visibility: q.Visibility,
    compartment: ResourceKey | None = None,
    lenient: bool = False,
    strict: bool = True,
    own_base: str = "",
    expander: CodeExpander | None = None,
    now: int,
) -> ParsedSearch:
    """Parse the decoded parameters of a search over `types` (one, or all for a system or `/Patient/x/*` search).

    `now` is milliseconds since 1970 UTC. With `lenient`, parameters that are unknown or cannot be read are left out
    and said in `issues`; limits hold all the same. Unless `strict`, parameters without a value are left out likewise,
    and a reference to a type that a parameter never refers to finds nothing: what R4 has a client answered, and what
    must be refused where fewer criteria do more harm than an error.

    Spec: https://hl7.org/fhir/R4/search.html#errors

    Raises:
        UnknownParameter: a parameter, modifier or type that the server does not know.
        BadValue: a value that cannot be read.
        TooCostly: over a limit.
        UnknownPath: the type is not in the compartment.
    """
    if len(query) > settings.max_parameters:
        raise TooCostly(f"the search has {len(query)} parameters; the limit is {settings.max_parameters}")
    zone = ZoneInfo(settings.default_timezone)
    reader = ValueReader(registry, zone, own_base, expander, now, settings, strict)
    scoped = _compartment_nodes(types, compartment, registry)
    reading = _Reading(reader, settings, {type_: [node] for type_, node in scoped.items()}, lenient)
    for name, value in query:
        reading.take_types(name, value)
    for name, value in query:
        reading.take(name, value)
    return _finish(reading, visibility, (types, compartment))


@dataclass(slots=True)
class _Reading:
    """The parameters read so far: nodes by type, controls, what was applied and what was ignored."""

    reader: ValueReader
    settings: Settings
    nodes: dict[str, list[q.Node]]
    lenient: bool
    controls: Controls = field(default_factory=Controls)
    applied: list[tuple[str, str]] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.reader.registry, self.settings.max_chain, "")

    def take_types(self, name: str, value: str) -> None:
        """Narrow the types first: the other parameters need to be known for those that are left alone."""
        if name == "_type":
            self._try(name, value, self._narrow)

    def take(self, name: str, value: str) -> None:
        """Read one parameter; a lenient reading notes what cannot be read and goes on."""
        if name != "_type":
            self._try(name, value, self._read)

    def _try(self, name: str, value: str, read_one: Callable[[str, str], None]) -> None:
        if not (self.reader.strict or value.strip() or name in _MAY_BE_EMPTY) and is_unicode(name):
            self.issues.append(_hint(f"ignored: {name[:200]} has no value"))
            return
        try:
            read_one(name, value)
        except BadRequest as fault:
            if not self.lenient or name == "_page":
                raise
            self.issues += [replace(issue, severity="warning") for issue in _ignored(fault)]
            return
        if name not in _UNNAMED:
            self.applied.append((name, value))

    def _narrow(self, name: str, value: str) -> None:
        wanted = value.split(",")
        for type_ in wanted:
            if type_ not in self.reader.registry.types:
                raise BadValue(
                    f"bad value {value[:200]!r} for _type: no resource type {type_[:100]!r}", expression="http._type"
                )
        self.nodes = {type_: nodes for type_, nodes in self.nodes.items() if type_ in wanted}

    def _read(self, name: str, value: str) -> None:
        if not is_unicode(name + value):
            raise BadValue(f"{name[:200]!a}: the value is not Unicode", expression=f"http.{name[:200]!a}")
        if is_control(name):
            place = Place(tuple(self.nodes), self.reader.registry, self.settings)
            self.controls = read_control(self.controls, name, value, place)
            return
        names = replace(self.names, whole=name)
        # Complete for all types before any is changed: what a lenient reading leaves out, it leaves out everywhere.
        found = {type_: self._node(names, type_, name, value) for type_ in self.nodes}
        for type_, node in found.items():
            self.nodes[type_].append(node)

    def _node(self, names: Names, type_: str, name: str, value: str) -> q.Node:
        if name == "_filter":
            return parse_filter(value, type_, names, self.reader)
        return names.resolve(type_, name, lambda _, asked: read(asked, value, self.reader))


def _hint(text: str) -> Issue:
    return Issue(text, "informational", "warning")


def _ignored(fault: BadRequest) -> list[Issue]:
    return [replace(issue, diagnostics=f"ignored: {issue.diagnostics}") for issue in fault.issues]


def _compartment_nodes(
    types: tuple[str, ...], compartment: ResourceKey | None, registry: ParameterRegistry
) -> dict[str, q.Node]:
    """Return the node that each type starts with: everything, or what belongs to the compartment.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    if compartment is None:
        return dict.fromkeys(types, q.EVERYTHING)
    members = definitions.load().compartments.get(compartment.type)
    if members is None:
        raise UnknownPath(f"there is no {compartment.type} compartment")
    found = {type_: _member(type_, members[type_], compartment, registry) for type_ in types if members.get(type_)}
    if not found:
        raise UnknownPath(f"{', '.join(types)} is not in the {compartment.type} compartment")
    return found


def _member(type_: str, codes: tuple[str, ...], compartment: ResourceKey, registry: ParameterRegistry) -> q.Node:
    value = q.ReferenceValue(compartment.type, compartment.id)
    nodes: list[q.Node] = []
    for code in codes:
        if code == "_id":
            nodes.append(q.Ids((compartment.id,)))
        elif (parameter := registry.get(type_, code)) is not None:
            nodes.append(q.Reference(code, (value,), parameter.targets))
    return nodes[0] if len(nodes) == 1 else q.Or(tuple(nodes))


def _finish(reading: _Reading, visibility: q.Visibility, place: tuple[object, ...]) -> ParsedSearch:
    controls = reading.controls
    counting = controls.summary is Summary.COUNT or controls.count == 0
    count = reading.settings.page_size if controls.count is None else controls.count
    search = q.Search(
        branches={type_: _joined(nodes) for type_, nodes in reading.nodes.items()},
        sort=controls.sort,
        count=0 if counting else min(count, reading.settings.max_page_size),
        total=q.Total.ACCURATE if counting else controls.total or q.Total.NONE,
        includes=() if counting else controls.includes,
        contained=controls.contained,
    )
    if visibility.unasked:
        own = slice(0 if place[1] is None else 1, None)  # the compartment was named by the path
        hold_to(
            replace(search, branches={t: q.And(tuple(n[own])) for t, n in reading.nodes.items()}), visibility.unasked
        )
    applied = tuple(_honoured(name, value, count) for name, value in reading.applied)
    return ParsedSearch(
        search=restrict(search, visibility),
        applied=applied,
        issues=(
            *reading.issues,
            *controls.issues,
            *(_hint(f"{_IMPOSSIBLE}: {hint}") for hint in reading.reader.hints),
            *map(_hint, reading.names.hints),
        ),
        summary=controls.summary,
        elements=controls.elements,
        contained_type=controls.contained_type,
        explain=controls.explain,
        page=controls.page,
        fingerprint=query_hash(place, applied, visibility.mark),
    )


def _joined(nodes: list[q.Node]) -> q.Node:
    parts = tuple(node for node in nodes if node != q.EVERYTHING)
    return parts[0] if len(parts) == 1 else q.And(parts)


def _honoured(name: str, value: str, count: int) -> tuple[str, str]:
    return (name, str(count)) if name == "_count" else (name, value)
