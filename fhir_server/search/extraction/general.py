"""Extraction by the general FHIRPath engine: for expressions that have no routes, and to check those that have."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import FhirPathError, Node, ast, compile_expression, parse
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction.elements import (
    Reader,
    Row,
    Scope,
    read_identifier,
    read_identifier_types,
    read_resource,
)
from fhir_server.search.extraction.generate import cross
from fhir_server.search.extraction.leaves import LISTS
from fhir_server.search.extraction.readers import FAMILY, Readers
from fhir_server.search.parameter import Parameter

_PRIMITIVES = {
    "System.Boolean": "boolean",
    "System.String": "string",
    "System.Integer": "integer",
    "System.Decimal": "decimal",
    "System.Date": "date",
    "System.DateTime": "dateTime",
    "System.Quantity": "Quantity",
}
_Resolve = Callable[[str], "dict[str, Any] | None"]


class General:
    """Adds the rows of one parameter to entries, whatever its expression."""

    def __init__(self, parameter: Parameter, facts: Definitions, readers: Readers) -> None:
        self._parameter = parameter
        self._facts = facts
        self._readers = readers
        self._expression = compile_expression(str(parameter.expression))
        self._parts = [(c.type, compile_expression(c.expression)) for c in parameter.components]
        self._names = first_names(parse(str(parameter.expression)), facts)

    def add(self, resource: dict[str, Any], scope: Scope, entries: IndexEntries) -> None:
        """Evaluate and append; an expression that fails on a resource finds nothing in it."""
        if self._names is not None and not any(name in key for key in resource for name in self._names):
            return
        try:
            self._add(resource, scope, entries)
        except FhirPathError:
            return

    def _add(self, resource: dict[str, Any], scope: Scope, entries: IndexEntries) -> None:
        kind, code = self._parameter.type, self._parameter.code
        resolve = self._resolve(scope)
        nodes = self._expression.evaluate(resource, resolve=resolve)
        if kind == "composite":
            entries.composites += [
                (code, row) for node in nodes for row in self._composite(resource, node, resolve, scope)
            ]
            return
        rows: list[Any] = getattr(entries, LISTS[kind])
        for node in nodes:
            rows += [(code, *row) for row in self._rows(kind, node, scope)]
            self._add_identifiers(kind, node, entries)
            if kind in ("token", "reference"):
                entries.strings += [(f"{code}:text", *row) for row in self._rows("text", node, scope)]

    def _rows(self, kind: str, node: Node, scope: Scope) -> Iterable[Row]:
        reader = self._reader(kind, node)
        rows = reader(node.value, scope) if reader is not None and node.value is not None else ()
        targets = self._parameter.targets
        if reader is read_resource and len(targets) == 1:
            return [row for row in rows if row[0] == targets[0]]
        return rows

    def _reader(self, kind: str, node: Node) -> Reader | None:
        type_ = _PRIMITIVES.get(node.type or "", node.type or "")
        definition = self._facts.types.get(type_)
        if definition is not None and definition.kind == "resource":
            type_ = "Resource"
        if node.parent is not None and (kind, f"{node.parent.type}.{node.key}") == FAMILY:
            return self._readers.reader(*FAMILY)
        if (kind, type_) == ("token", "code") and (value_set := self._value_set(node)):
            return lambda value, _: ((self._facts.code_system(value_set, value), value),)
        return self._readers.reader(kind, type_)

    def _value_set(self, node: Node) -> str | None:
        definition = self._facts.types.get(node.parent.type or "") if node.parent else None
        element = definition.by_name.get(node.key) if definition else None
        return element.binding.value_set if element and element.binding else None

    def _add_identifiers(self, kind: str, node: Node, entries: IndexEntries) -> None:
        code = self._parameter.code
        if (kind, node.type) == ("token", "Identifier"):
            entries.tokens += [(f"{code}:of-type", *row) for row in read_identifier_types(node.value)]
        if (kind, node.type) == ("reference", "Reference") and "identifier" in (node.value or {}):
            found = read_identifier(node.value["identifier"], ("", {}))
            entries.tokens += [(f"{code}:identifier", *row) for row in found]

    def _composite(
        self, resource: dict[str, Any], base: Node, resolve: _Resolve, scope: Scope
    ) -> Iterator[tuple[Row, ...]]:
        parts: list[list[Row]] = []
        for kind, expression in self._parts:
            nodes = expression.evaluate(_top(base), context=base, resolve=resolve)
            parts.append([(kind, *row) for node in nodes for row in self._rows(kind, node, scope)])
        yield from cross(*parts)

    def _resolve(self, scope: Scope) -> _Resolve:
        def resolve(reference: str) -> dict[str, Any] | None:
            # All that an index may know of another resource is what the reference itself says.
            row, kind = self._readers.reference(reference, scope)
            return {"resourceType": kind, "id": row[1]} if kind else None

        return resolve


def _top(node: Node) -> Node:
    while node.parent is not None:
        node = node.parent
    return node


def first_names(tree: ast.Expr, facts: Definitions) -> frozenset[str] | None:
    """Return the elements of the resource that an expression starts from; None where that cannot be told."""
    names: set[str] = set()
    return frozenset(names) if _collect(tree, facts.types, names) else None


def _collect(node: ast.Expr | None, types: Mapping[str, Any], names: set[str]) -> bool:
    match node:
        case ast.Member(source=None, name=name):
            names.add(name)
            return name not in types or types[name].kind != "resource"
        case ast.Member(source=ast.Member(source=None, name=root), name=name) if root in types:
            names.add(name)
            return True
        case ast.Member(source=source) | ast.Call(source=source) | ast.Index(source=source):
            return _collect(source, types, names)
        case ast.TypeOperation(operand=operand):
            return _collect(operand, types, names)
        case ast.Binary(operator="|", left=left, right=right):
            return _collect(left, types, names) and _collect(right, types, names)
    return False
