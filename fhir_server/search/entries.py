"""IndexEntries: the engine-neutral index rows of one version of a resource."""

from dataclasses import dataclass, field

TokenEntry = tuple[str, str | None, str]
StringEntry = tuple[str, str, str]
DateEntry = tuple[str, int, int]
NumberEntry = tuple[str, float, float]
QuantityEntry = tuple[str, float, float, str, str, "tuple[float, float, str] | None"]
UriEntry = tuple[str, str]
ReferenceEntry = tuple[str, "str | None", "str | None", "str | None", "str | None"]
CompositeEntry = tuple[str, "tuple[tuple[object, ...], ...]"]
PositionEntry = tuple[str, float, float]


@dataclass(slots=True)
class IndexEntries:
    """Rows by kind; the first member of every tuple is the code of the search parameter.

    tokens: (param, system or None, code); `identifier:of-type` stands as ("identifier:of-type", "system|code", value)
        and a reference's logical identifier as ("subject:identifier", system, value).
    strings: (param, folded, original); what `:text` searches stands as ("code:text", folded, "").
    dates: (param, low, high) microseconds since 1970 UTC, half open.
    numbers: (param, low, high), closed and exact: one number has low == high, a Range both its ends, an open end is
        infinite. Precision counts in the search value alone (`search/compare` has the laws).
    quantities: (param, low, high, system, code or unit, UCUM canonical (low, high, unit) or None), bounds likewise.
    uris: (param, value).
    references: (param, type, id, url, version): type and id for a RESTful reference to this server, url for an
        absolute, canonical (without |version) or logical one, ("param", "#", "localid", None, None) for a contained
        one.
    composites: (param, components), each component an entry of its kind above without the param, with the
        kind first: ("token", system, code), ("quantity", low, high, system, code, canonical), ("date", low, high),
        ("string", folded, original), ("reference", type, id, url, version), ("number", low, high), ("uri", value).
    positions: (param, latitude, longitude).
    contained: entries of each contained resource with its type and local id.
    """

    tokens: list[TokenEntry] = field(default_factory=list)
    strings: list[StringEntry] = field(default_factory=list)
    dates: list[DateEntry] = field(default_factory=list)
    numbers: list[NumberEntry] = field(default_factory=list)
    quantities: list[QuantityEntry] = field(default_factory=list)
    uris: list[UriEntry] = field(default_factory=list)
    references: list[ReferenceEntry] = field(default_factory=list)
    composites: list[CompositeEntry] = field(default_factory=list)
    positions: list[PositionEntry] = field(default_factory=list)
    contained: list[tuple[str, str, "IndexEntries"]] = field(default_factory=list)

    def present(self) -> frozenset[str]:
        """Return the codes of all parameters that have a value here."""
        kinds = (
            self.tokens, self.strings, self.dates, self.numbers, self.quantities, self.uris, self.references,
            self.composites, self.positions,
        )  # fmt: skip
        return frozenset(row[0] for kind in kinds for row in kind)
