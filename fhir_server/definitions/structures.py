"""Resource types beyond those of R4, from StructureDefinitions that were loaded.

Spec: https://hl7.org/fhir/R4/structuredefinition.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

import msgspec

from fhir_server.definitions.definitions import Definitions
from fhir_server.definitions.model import Binding, Element, ElementType, Invariant, TypeDefinition

_NESTED = frozenset({"BackboneElement", "Element"})
_OF_EVERY_ELEMENT = frozenset({"ele-1", "ext-1"})
_OLD_STRING = "http://hl7.org/fhirpath/System.String"
_MOST_MADE = 16
_made: WeakKeyDictionary[Definitions, dict[bytes, Definitions]] = WeakKeyDictionary()


class WrongStructure(ValueError):
    """A StructureDefinition that defines no resource type; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class LoadedType:
    """What one StructureDefinition defines: the type, the types nested in it, and their invariants."""

    types: tuple[TypeDefinition, ...]
    invariants: Mapping[str, Invariant]


def with_structures(facts: Definitions, structures: Iterable[Mapping[str, Any]]) -> Definitions:
    """Return the definitions with these resource types added.

    Raises:
        WrongStructure: one cannot be used.
    """
    for structure in structures:
        facts = _with(facts, structure)
    return facts


def _with(facts: Definitions, structure: Mapping[str, Any]) -> Definitions:
    """Return definitions with one type more: the same for the same, as much is compiled by them and kept."""
    kept, text = _made.setdefault(facts, {}), msgspec.json.encode(structure, enc_hook=dict)
    if text not in kept:
        loaded = read_structure(structure, facts)
        if len(kept) >= _MOST_MADE:
            kept.clear()
        kept[text] = facts.with_types(loaded.types, invariants=loaded.invariants)
    return kept[text]


def read_structure(structure: Mapping[str, Any], facts: Definitions) -> LoadedType:
    """Read the definition of a resource type. Elements that it takes from its base need not be repeated in it.

    Types that these definitions do not have (`integer64` of R5) are left out of choices.

    Raises:
        WrongStructure: it is none of a resource, has no snapshot, or is about types that are not known.
    """
    return _Reader(structure, facts).loaded()


class _Reader:
    def __init__(self, structure: Mapping[str, Any], facts: Definitions) -> None:
        self._structure, self._facts = structure, facts
        self._name = str(structure.get("type") or "")
        self._invariants: dict[str, Invariant] = {}
        self._rows: dict[str, list[Mapping[str, Any]]] = {}

    def loaded(self) -> LoadedType:
        base = self._base()
        for row in self._elements():
            path = str(row.get("path"))
            if path != self._name:
                self._rows.setdefault(path.rpartition(".")[0], []).append(row)
        types = [self._type(path, base if path == self._name else "") for path in (self._name, *self._nested())]
        return LoadedType(tuple(types), self._invariants)

    def _wrong(self, why: str) -> WrongStructure:
        return WrongStructure(f"StructureDefinition {self._structure.get('url') or self._name}: {why}")

    def _base(self) -> str:
        if self._structure.get("kind") != "resource" or not self._name.isidentifier():
            raise self._wrong("it defines no resource type")
        base = str(self._structure.get("baseDefinition")).rpartition("/")[2]
        if base not in self._facts.types or self._facts.types[base].kind != "resource":
            raise self._wrong(f"its base {base} is not known")
        return base

    def _elements(self) -> list[Mapping[str, Any]]:
        rows = (self._structure.get("snapshot") or {}).get("element")
        if not isinstance(rows, list) or not rows or rows[0].get("path") != self._name:
            raise self._wrong(f"it needs a snapshot that begins with {self._name}")
        return rows

    def _nested(self) -> list[str]:
        return [path for path in self._rows if path != self._name]

    def _type(self, path: str, base: str) -> TypeDefinition:
        nested = not base
        above = self._facts.types["BackboneElement" if nested else base]
        elements = {element.name: replace(element, path=f"{path}.{element.name}") for element in above.elements}
        for row in self._rows.get(path, ()):
            element = self._element(row)
            if element is not None:
                elements[element.name] = element
        found = tuple(elements.values())
        root = next((row for row in self._elements() if row.get("path") == path), {})
        return TypeDefinition(
            name=path,
            kind="backbone" if nested else "resource",
            base="BackboneElement" if nested else base,
            abstract=bool(self._structure.get("abstract")) and not nested,
            elements=found,
            by_name={name: element for element in found for name in element.json_names},
            constraints=() if nested else (*above.constraints, *self._constraints(root)),
            url="" if nested else str(self._structure.get("url") or ""),
        )

    def _element(self, row: Mapping[str, Any]) -> Element | None:
        path = str(row["path"])
        written = path.rpartition(".")[2]
        name = written.removesuffix("[x]")
        content = str(row.get("contentReference") or "").rpartition("#")[2] or None
        types = self._types(row)
        if any(of.code == _OLD_STRING for of in types):
            return None  # the base has it
        if not content and not types:
            raise self._wrong(f"{path} has no type that is known")
        nested = path if len(types) == 1 and types[0].code in _NESTED and path in self._rows else None
        return Element(
            name=name,
            path=path,
            min=int(row.get("min", 0)),
            max=None if row.get("max") == "*" else int(row.get("max", 1)),
            types=() if content else types,
            choice=written != name,
            content=content,
            binding=_binding(row),
            modifier=row.get("isModifier") is True,
            summary=row.get("isSummary") is True,
            constraints=self._constraints(row),
            type_key=content or nested,
        )

    def _types(self, row: Mapping[str, Any]) -> tuple[ElementType, ...]:
        found = [
            ElementType(str(of["code"]), tuple(_last(url) for url in of.get("targetProfile", ())))
            for of in row.get("type", ())
        ]
        return tuple(of for of in found if of.code in self._facts.types or of.code == _OLD_STRING)

    def _constraints(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Keys of the invariants of an element; those that R4 has are known already."""
        found = []
        for rule in row.get("constraint", ()):
            key, expression = str(rule.get("key")), str(rule.get("expression") or "")
            if key in _OF_EVERY_ELEMENT or not expression:
                continue
            unique = self._unique(key, expression)
            known = self._facts.invariants.get(unique) or self._invariants.get(unique)
            paths = (*(known.paths if known else ()), str(row["path"]))
            if unique not in self._facts.invariants:
                human = str(rule.get("human") or key)
                self._invariants[unique] = Invariant(unique, _severity(rule), human, expression, paths)
            found.append(unique)
        return tuple(found)

    def _unique(self, key: str, expression: str) -> str:
        taken = self._facts.invariants.get(key)
        return key if taken is None or taken.expression == expression else f"{key}@{self._name}"


def _binding(row: Mapping[str, Any]) -> Binding | None:
    binding = row.get("binding")
    if not isinstance(binding, Mapping) or not binding.get("valueSet"):
        return None
    return Binding(binding["strength"], str(binding["valueSet"]).partition("|")[0])


def _severity(rule: Mapping[str, Any]) -> Literal["error", "warning"]:
    return "warning" if rule.get("severity") == "warning" else "error"


def _last(url: object) -> str:
    return str(url).rpartition("/")[2]
