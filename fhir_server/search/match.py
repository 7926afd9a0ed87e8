"""Match a search tree against the index entries of one resource, in memory.

Used for subscriptions, for restrictions on versions already read, and by the memory engine.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.compare import date_law, distance, instant_interval, is_below, number_law, satisfies
from fhir_server.search.entries import IndexEntries, QuantityEntry, ReferenceEntry
from fhir_server.search.fulltext import contains_text, words_start


class VersionLike(Protocol):
    """What the matcher needs of a version: its key and the milliseconds of its last update."""

    @property
    def key(self) -> ResourceKey:
        """Type and logical id."""

    @property
    def last_updated(self) -> int:
        """Milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Found:
    """A current resource as `Lookup` returns it."""

    version: VersionLike
    entries: IndexEntries


class Lookup(Protocol):
    """The other resources of the store, for chains, and the text of this one."""

    def current(self, key: ResourceKey) -> Found | None:
        """Return the current version of a resource that is not deleted."""

    def referring(self, type_: str, param: str, key: ResourceKey) -> Iterable[Found]:
        """Return the current resources of a type that refer to `key` by a parameter."""

    def text(self, version: VersionLike, *, content: bool) -> str:
        """Return the narrative of a resource, or all of its text."""


class NoLookup:
    """A Lookup for trees that hold no chains: there are no other resources and no text."""

    def current(self, key: ResourceKey) -> Found | None:
        """Return nothing."""
        return None

    def referring(self, type_: str, param: str, key: ResourceKey) -> Iterable[Found]:
        """Return nothing."""
        return ()

    def text(self, version: VersionLike, *, content: bool) -> str:
        """Return nothing."""
        return ""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is matched: `around` are the contained resources that `#id` references name."""

    version: VersionLike
    entries: IndexEntries
    around: list[tuple[str, str, IndexEntries]]
    lookup: Lookup


@dataclass(frozen=True, slots=True)
class ContainedVersion:
    """A contained resource: its type and local id, and the instant of its container."""

    key: ResourceKey
    last_updated: int


def matches(node: q.Node, version: VersionLike, entries: IndexEntries, lookup: Lookup) -> bool:
    """Tell whether the tree holds for a resource."""
    return _holds(node, _Subject(version, entries, entries.contained, lookup))


def matching_contained(
    node: q.Node, type_: str, version: VersionLike, entries: IndexEntries, lookup: Lookup
) -> list[str]:
    """Return the local ids of the contained resources of a type for which the tree holds, in their order."""
    return [
        id_
        for kind, id_, inner in entries.contained
        if kind == type_ and _holds(node, _contained(version, id_, kind, inner, entries.contained, lookup))
    ]


def _contained(
    version: VersionLike,
    id_: str,
    type_: str,
    inner: IndexEntries,
    around: list[tuple[str, str, IndexEntries]],
    lookup: Lookup,
) -> _Subject:
    return _Subject(ContainedVersion(ResourceKey(type_, id_), version.last_updated), inner, around, lookup)


def _holds(node: q.Node, subject: _Subject) -> bool:
    return _MATCHERS[type(node)](node, subject)


def _and(node: q.And, subject: _Subject) -> bool:
    return all(_holds(each, subject) for each in node.nodes)


def _or(node: q.Or, subject: _Subject) -> bool:
    return any(_holds(each, subject) for each in node.nodes)


def _not(node: q.Not, subject: _Subject) -> bool:
    return not _holds(node.node, subject)


def _has_token(rows: Iterable[tuple[str, str | None, str]], param: str, values: Iterable[q.TokenValue]) -> bool:
    mine = [row for row in rows if row[0] == param]
    return any(_same_token(value, system, code) for value in values for _, system, code in mine)


def _same_token(value: q.TokenValue, system: str | None, code: str) -> bool:
    return (value.system is None or value.system == (system or "")) and value.code in (None, code)


def _token(node: q.Token, subject: _Subject) -> bool:
    return _has_token(subject.entries.tokens, node.param, node.values)


def _reference_identifier(node: q.ReferenceIdentifier, subject: _Subject) -> bool:
    return _has_token(subject.entries.tokens, f"{node.param}:identifier", node.values)


def _of_type(node: q.OfType, subject: _Subject) -> bool:
    wanted = {(f"{node.param}:of-type", f"{system}|{code}", value) for system, code, value in node.values}
    return any(row in wanted for row in subject.entries.tokens)


def _token_text(node: q.TokenText, subject: _Subject) -> bool:
    texts = [row[1] for row in subject.entries.strings if row[0] == f"{node.param}:text"]
    return any(words_start(text, value) for text in texts for value in node.values)


_STRINGS: dict[q.StringMode, Callable[[str, str, str], bool]] = {
    q.StringMode.STARTS: lambda folded, _, value: folded.startswith(value),
    q.StringMode.CONTAINS: lambda folded, _, value: value in folded,
    q.StringMode.ENDS: lambda folded, _, value: folded.endswith(value),
    q.StringMode.EQUALS: lambda folded, _, value: folded == value,
    q.StringMode.EXACT: lambda _, original, value: original == value,
}


def _string(node: q.String, subject: _Subject) -> bool:
    compare = _STRINGS[node.mode]
    rows = [row for row in subject.entries.strings if row[0] == node.param]
    return any(compare(folded, original, value) for _, folded, original in rows for value in node.values)


_URIS: dict[q.StringMode, Callable[[str, str], bool]] = {
    q.StringMode.EXACT: lambda uri, value: uri == value,
    q.StringMode.BELOW: is_below,
    q.StringMode.ABOVE: lambda uri, value: is_below(value, uri),
}


def _uri(node: q.Uri, subject: _Subject) -> bool:
    compare = _URIS[node.mode]
    rows = [uri for param, uri in subject.entries.uris if param == node.param]
    return any(compare(uri, value) for uri in rows for value in node.values)


def _date(node: q.Date, subject: _Subject) -> bool:
    rows = [(low, high) for param, low, high in subject.entries.dates if param == node.param]
    return any(satisfies(law, low, high) for law in map(date_law, node.values) for low, high in rows)


def _last_updated(node: q.LastUpdated, subject: _Subject) -> bool:
    low, high = instant_interval(subject.version.last_updated)
    return any(satisfies(date_law(value), low, high) for value in node.values)


def _number(node: q.Number, subject: _Subject) -> bool:
    rows = [(low, high) for param, low, high in subject.entries.numbers if param == node.param]
    return any(satisfies(law, low, high) for law in map(number_law, node.values) for low, high in rows)


def _quantity(node: q.Quantity, subject: _Subject) -> bool:
    rows = [row for row in subject.entries.quantities if row[0] == node.param]
    return any(_same_quantity(value, row) for value in node.values for row in rows)


def _same_quantity(value: q.QuantityValue, row: QuantityEntry) -> bool:
    """Compare in UCUM base units where both sides have them, else as stated, in the same unit."""
    _, low, high, system, code, canonical = row
    if value.canonical is not None and canonical is not None:
        number, unit = value.canonical
        return unit == canonical[2] and satisfies(number_law(number), canonical[0], canonical[1])
    if value.code and value.code != code:
        return False
    if value.system and value.system != system:
        return False
    return satisfies(number_law(value.number), low, high)


def _reference(node: q.Reference, subject: _Subject) -> bool:
    rows = [row for row in subject.entries.references if row[0] == node.param]
    return any(_same_reference(value, row, node.targets) for value in node.values for row in rows)


def _same_reference(value: q.ReferenceValue, row: ReferenceEntry, targets: tuple[str, ...]) -> bool:
    _, type_, id_, url, version = row
    if value.version is not None and value.version != version:
        return False
    if value.url is not None:
        return value.url == url
    if value.type is not None:
        return (value.type, value.id) == (type_, id_)
    return value.id == id_ and type_ is not None and type_ != "#" and (not targets or type_ in targets)


_KINDS = {
    "token": "tokens",
    "string": "strings",
    "date": "dates",
    "number": "numbers",
    "quantity": "quantities",
    "uri": "uris",
    "reference": "references",
}


def _composite(node: q.Composite, subject: _Subject) -> bool:
    rows = [_component_entries(components) for param, components in subject.entries.composites if param == node.param]
    return any(
        all(_holds(leaf, _Subject(subject.version, row, [], subject.lookup)) for leaf in leaves)
        for leaves in node.values
        for row in rows
    )


def _component_entries(components: tuple[tuple[Any, ...], ...]) -> IndexEntries:
    """Return the components as entries of their own, under their position as the parameter."""
    entries = IndexEntries()
    for position, (kind, *rest) in enumerate(components):
        getattr(entries, _KINDS[kind]).append((str(position), *rest))
    return entries


def _near(node: q.Near, subject: _Subject) -> bool:
    rows = [(lat, lon) for param, lat, lon in subject.entries.positions if param == node.param]
    return any(distance(lat, lon, node.latitude, node.longitude) <= node.meters for lat, lon in rows)


def _missing(node: q.Missing, subject: _Subject) -> bool:
    """A reference that has a logical identifier alone is a value too, so `subject:identifier` counts for `subject`."""
    present = any(code.partition(":")[0] == node.param for code in subject.entries.present())
    return present is not node.missing


def _ids(node: q.Ids, subject: _Subject) -> bool:
    return subject.version.key.id in node.values


def _full_text(node: q.FullText, subject: _Subject) -> bool:
    return contains_text(subject.lookup.text(subject.version, content=node.content), node.query)


def _chain(node: q.Chain, subject: _Subject) -> bool:
    rows = [row for row in subject.entries.references if row[0] == node.param]
    return any(_chain_row(node, row, subject) for row in rows)


def _chain_row(node: q.Chain, row: ReferenceEntry, subject: _Subject) -> bool:
    _, type_, id_, _, _ = row
    if id_ is None:
        return False
    if type_ == "#":
        return any(
            _holds(node.node, _contained(subject.version, id_, kind, inner, subject.around, subject.lookup))
            for kind, local, inner in subject.around
            if (kind, local) == (node.target, id_)
        )
    if type_ != node.target:
        return False
    found = subject.lookup.current(ResourceKey(type_, id_))
    return found is not None and matches(node.node, found.version, found.entries, subject.lookup)


def _has(node: q.Has, subject: _Subject) -> bool:
    referring = subject.lookup.referring(node.type, node.param, subject.version.key)
    return any(matches(node.node, found.version, found.entries, subject.lookup) for found in referring)


def _among(node: q.Among, subject: _Subject) -> bool:
    if not node.param:
        return subject.version.key.type == node.type and subject.version.key.id in node.ids.ids
    rows = subject.entries.references
    return any(row[0] == node.param and row[1] == node.type and row[2] in node.ids.ids for row in rows)


_MATCHERS: dict[type, Callable[[Any, _Subject], bool]] = {
    q.And: _and, q.Or: _or, q.Not: _not, q.Chain: _chain, q.Has: _has,
    q.Token: _token, q.TokenText: _token_text, q.OfType: _of_type, q.String: _string, q.Uri: _uri,
    q.Date: _date, q.Number: _number, q.Quantity: _quantity, q.Reference: _reference,
    q.ReferenceIdentifier: _reference_identifier, q.Composite: _composite, q.Near: _near,
    q.Missing: _missing, q.Ids: _ids, q.Among: _among, q.LastUpdated: _last_updated, q.FullText: _full_text,
}  # fmt: skip
