"""Type definitions built from the rows of `elements.json` when they are first asked for."""

from collections.abc import Iterator, Mapping

import msgspec

from fhir_server.definitions.model import Binding, Element, ElementType, Kind, TypeDefinition

_NESTED = frozenset({"BackboneElement", "Element"})


class _ElementRow(msgspec.Struct, frozen=True):
    """An element as it stands in the table: what has its default is absent."""

    name: str
    min: int = 0
    max: int | None = 1
    types: tuple[ElementType, ...] = ()
    choice: bool = False
    content: str | None = None
    binding: Binding | None = None
    modifier: bool = False
    summary: bool = False
    constraints: tuple[str, ...] = ()
    xml_attribute: bool = False


class _TypeRow(msgspec.Struct, frozen=True):
    """A type as it stands in the table; unless `complete`, the elements of `base` come before its own."""

    kind: Kind
    base: str | None
    elements: tuple[_ElementRow, ...]
    abstract: bool = False
    complete: bool = False
    constraints: tuple[str, ...] = ()
    regex: str | None = None


_table_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_row_decoder = msgspec.json.Decoder(_TypeRow)


class Types(Mapping[str, TypeDefinition]):
    """Type key to definition; a row is parsed and joined with its base when somebody asks for it."""

    def __init__(self, content: bytes) -> None:
        self._raw = _table_decoder.decode(content)
        self._rows: dict[str, _TypeRow] = {}
        self._types: dict[str, TypeDefinition] = {}

    def __getitem__(self, key: str) -> TypeDefinition:
        found = self._types.get(key)
        if found is None:
            found = self._types[key] = self._build(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, key: object) -> bool:
        return key in self._raw

    def _row(self, key: str) -> _TypeRow:
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = _row_decoder.decode(self._raw[key])
        return found

    def _build(self, key: str) -> TypeDefinition:
        row = self._row(key)
        elements = tuple(self._element(key, element) for element in self._element_rows(row))
        return TypeDefinition(
            name=key,
            kind=row.kind,
            base=row.base,
            abstract=row.abstract,
            elements=elements,
            by_name={name: element for element in elements for name in element.json_names},
            constraints=self._constraints(row),
            regex=row.regex,
        )

    def _element_rows(self, row: _TypeRow) -> tuple[_ElementRow, ...]:
        if row.base is None or row.complete:
            return row.elements
        return self._element_rows(self._row(row.base)) + row.elements

    def _constraints(self, row: _TypeRow) -> tuple[str, ...]:
        inherited = self._constraints(self._row(row.base)) if row.base and row.kind != "backbone" else ()
        return inherited + row.constraints

    def _element(self, owner: str, row: _ElementRow) -> Element:
        path = f"{owner}.{row.name}[x]" if row.choice else f"{owner}.{row.name}"
        nested = path if len(row.types) == 1 and row.types[0].code in _NESTED and path in self._raw else None
        return Element(
            name=row.name,
            path=path,
            min=row.min,
            max=row.max,
            types=row.types,
            choice=row.choice,
            content=row.content,
            binding=row.binding,
            modifier=row.modifier,
            summary=row.summary,
            constraints=row.constraints,
            type_key=row.content or nested,
            xml_attribute=row.xml_attribute,
        )
