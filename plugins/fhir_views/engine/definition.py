"""Read the JSON of a ViewDefinition into values that know their places; every fault is found at once.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_views.engine.faults import Fault, ViewError
from fhir_views.engine.limits import DEFAULT_LIMITS, ViewLimits

ROOT = "ViewDefinition"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TYPES = "http://hl7.org/fhir/StructureDefinition/"
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")
_KNOWN_FHIR = "4."
_ANYWHERE = frozenset({"id", "extension", "modifierExtension", "fhir_comments"})
_ELEMENTS: Mapping[str, frozenset[str]] = {
    "select": frozenset({"column", "select", "unionAll", *_ITERATIONS}),
    "unionAll": frozenset({"column", "select", "unionAll", *_ITERATIONS}),
    "column": frozenset({"name", "path", "type", "collection", "description", "tag"}),
    "tag": frozenset({"name", "value"}),
    "where": frozenset({"path", "description"}),
}
"""What each part of a definition may have; a name that is written wrong would else be a filter that is not there."""
_OF_ROOT = frozenset({
    "resourceType", "meta", "implicitRules", "language", "text", "contained", "url", "identifier", "version",
    "versionAlgorithmString", "versionAlgorithmCoding", "name", "title", "status", "experimental", "date", "publisher",
    "contact", "description", "useContext", "jurisdiction", "purpose", "copyright", "copyrightLabel", "resource",
    "profile", "fhirVersion", "constant", "select", "where",
})  # fmt: skip
_RESERVED = frozenset({"rowIndex", "resource", "rootResource", "context", "ucum", "sct", "loinc"})
"""What expressions have as `%name` already."""


@dataclass(frozen=True, slots=True)
class Text:
    """An expression, or another text, and its place."""

    value: str
    place: str


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column as written; `type` is a FHIR type without the common beginning of its URL, empty if not said."""

    name: str
    path: Text
    place: str
    type: str = ""
    collection: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class SelectSpec:
    """One selection structure; `iteration` is which of `forEach`, `forEachOrNull` and `repeat` it has, with `paths`."""

    place: str
    columns: tuple[ColumnSpec, ...] = ()
    selects: tuple["SelectSpec", ...] = ()
    unions: tuple["SelectSpec", ...] = ()
    iteration: str = ""
    paths: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """A definition that has the right shape; `constants` are the elements `value[x]` by name."""

    resource: str
    selects: tuple[SelectSpec, ...]
    where: tuple[Text, ...] = ()
    constants: Mapping[str, tuple[str, Any, str]] = field(default_factory=dict)
    name: str = ""
    url: str = ""


def read_definition(definition: Any, limits: ViewLimits = DEFAULT_LIMITS) -> ViewSpec:
    """Read a definition.

    Raises:
        ViewError: it has not the shape of one; all places are named.
    """
    reader = _Reader(limits)
    spec = reader.view(definition)
    if reader.faults:
        raise ViewError(reader.faults)
    return spec


class _Reader:
    """Gathers faults while it reads."""

    def __init__(self, limits: ViewLimits) -> None:
        self.faults: list[Fault] = []
        self._limits = limits

    def _fault(self, place: str, message: str) -> None:
        self.faults.append(Fault(place, message))

    def view(self, definition: Any) -> ViewSpec:
        if not isinstance(definition, Mapping):
            raise ViewError([Fault(ROOT, "a ViewDefinition is an object")])
        if definition.get("resourceType", ROOT) != ROOT:
            raise ViewError([Fault(f"{ROOT}.resourceType", f"this is a {definition['resourceType']}, not a {ROOT}")])
        self._known(definition, _OF_ROOT, ROOT)
        self._versions(definition)
        selects = self._selects(definition, "select", ROOT, 1)
        if not definition.get("select"):
            self._fault(f"{ROOT}.select", "a view needs at least one select")
        return ViewSpec(
            resource=self._text(definition, "resource", ROOT),
            selects=selects,
            where=tuple(
                Text(self._text(item, "path", at), f"{at}.path") for item, at in self._items(definition, "where", ROOT)
            ),
            constants=self._constants(definition),
            name=self._name(definition, ROOT) if "name" in definition else "",
            url=self._text(definition, "url", ROOT) if "url" in definition else "",
        )

    def _versions(self, definition: Mapping[str, Any]) -> None:
        versions = definition.get("fhirVersion")
        if versions is None:
            return
        if not isinstance(versions, list) or not all(isinstance(version, str) for version in versions):
            self._fault(f"{ROOT}.fhirVersion", "an array of versions is expected")
        elif versions and not any(version.startswith(_KNOWN_FHIR) for version in versions):
            self._fault(f"{ROOT}.fhirVersion", f"this server has FHIR 4.0.1; the view is for {', '.join(versions)}")

    # --- constants

    def _constants(self, definition: Mapping[str, Any]) -> dict[str, tuple[str, Any, str]]:
        found: dict[str, tuple[str, Any, str]] = {}
        for item, at in self._items(definition, "constant", ROOT):
            name = self._name(item, at)
            values = [key for key in item if key.startswith("value")]
            self._known(item, frozenset({"name", *values}), at)
            if len(values) != 1:
                self._fault(f"{at}.value[x]", f"constant {name} needs exactly one value[x], it has {len(values)}")
            elif name in found:
                self._fault(f"{at}.name", f"there are two constants {name}")
            elif name in _RESERVED:
                self._fault(f"{at}.name", f"%{name} is something else already: name the constant otherwise")
            else:
                found[name] = (values[0].removeprefix("value"), item[values[0]], f"{at}.{values[0]}")
        return found

    # --- selects

    def _selects(self, owner: Mapping[str, Any], key: str, place: str, depth: int) -> tuple[SelectSpec, ...]:
        if depth > self._limits.depth:
            if owner.get(key):
                self._fault(f"{place}.{key}", f"selects are nested deeper than {self._limits.depth}")
            return ()
        return tuple(self._select(item, at, depth) for item, at in self._items(owner, key, place))

    def _select(self, item: Mapping[str, Any], place: str, depth: int) -> SelectSpec:
        given = [name for name in _ITERATIONS if name in item]
        if len(given) > 1:
            self._fault(
                place, f"a select has at most one of forEach, forEachOrNull and repeat; here are {', '.join(given)}"
            )
        return SelectSpec(
            place=place,
            columns=tuple(self._column(column, at) for column, at in self._items(item, "column", place)),
            selects=self._selects(item, "select", place, depth + 1),
            unions=self._selects(item, "unionAll", place, depth + 1),
            iteration=given[0] if given else "",
            paths=self._paths(item, given[0], place) if given else (),
        )

    def _paths(self, item: Mapping[str, Any], key: str, place: str) -> tuple[Text, ...]:
        if key != "repeat":
            return (Text(self._text(item, key, place), f"{place}.{key}"),)
        paths = item[key]
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            self._fault(f"{place}.repeat", "an array of expressions is expected")
            return ()
        return tuple(Text(path, f"{place}.repeat[{number}]") for number, path in enumerate(paths))

    def _column(self, item: Mapping[str, Any], place: str) -> ColumnSpec:
        collection = item.get("collection", False)
        if not isinstance(collection, bool):
            self._fault(f"{place}.collection", "true or false is expected")
        for tag, at in self._items(item, "tag", place):
            self._text(tag, "name", at)
            self._text(tag, "value", at)
        return ColumnSpec(
            name=self._name(item, place),
            path=Text(self._text(item, "path", place), f"{place}.path"),
            place=place,
            type=self._text(item, "type", place).removeprefix(_TYPES) if "type" in item else "",
            collection=collection is True,
            description=self._text(item, "description", place) if "description" in item else "",
        )

    # --- members

    def _items(self, owner: Mapping[str, Any], key: str, place: str) -> Sequence[tuple[Mapping[str, Any], str]]:
        found = owner.get(key, [])
        if not isinstance(found, list):
            self._fault(f"{place}.{key}", "an array is expected")
            return ()
        named = [(item, f"{place}.{key}[{number}]") for number, item in enumerate(found)]
        for item, at in named:
            if not isinstance(item, Mapping):
                self._fault(at, "an object is expected")
            elif key in _ELEMENTS:
                self._known(item, _ELEMENTS[key], at)
        return [(item, at) for item, at in named if isinstance(item, Mapping)]

    def _known(self, item: Mapping[str, Any], names: frozenset[str], place: str) -> None:
        for key in item:
            if str(key).removeprefix("_") not in names | _ANYWHERE:
                self._fault(f"{place}.{str(key)[:80]}", "there is no such element")

    def _text(self, owner: Mapping[str, Any], key: str, place: str) -> str:
        found = owner.get(key)
        if isinstance(found, str) and found.strip():
            return found
        self._fault(f"{place}.{key}", "is required" if found is None else "a text that is not empty is expected")
        return ""

    def _name(self, owner: Mapping[str, Any], place: str) -> str:
        name = self._text(owner, "name", place)
        if name and not _NAME.fullmatch(name):
            self._fault(f"{place}.name", f"{name[:80]!r} is no name: letters, digits and underscores, a letter first")
        return name
