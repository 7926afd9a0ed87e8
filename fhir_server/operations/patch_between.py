"""The FHIRPath Patch that makes one resource of another. Spec: https://hl7.org/fhir/R4/fhirpatch.html"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.definitions import Definitions, Element
from fhir_server.operations.typed_parts import Forms, Found, Part, find, items, repeats

Json = Mapping[str, Any]
_SERVER_OWNED = frozenset(("versionId", "lastUpdated"))
# Words of FHIRPath that are names of elements too.
_KEYWORDS = frozenset(["and", "as", "contains", "div", "false", "implies", "in", "is", "mod", "or", "true", "xor"])


def patch_between(old: Json, new: Json, definitions: Definitions) -> list[Part]:
    """Return the operations that make `new` of `old`, two valid resources of one type.

    What the server owns of meta does not count.
    """
    before, after = comparable(old), comparable(new)
    # Every stored resource has a meta, so one that has nothing but what the server owns is no difference.
    for one, other in ((before, after), (after, before)):
        if "meta" not in one and other.get("meta") == {}:
            del other["meta"]
    difference = _Difference(definitions)
    difference.of_objects(str(old["resourceType"]), str(old["resourceType"]), before, after)
    return difference.operations


def comparable(resource: Json) -> dict[str, Any]:
    """Return the resource without what the server owns of its meta."""
    if not isinstance(meta := resource.get("meta"), dict):
        return dict(resource)
    return {**resource, "meta": {name: value for name, value in meta.items() if name not in _SERVER_OWNED}}


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal to the last digit: 1.0 is not 1.00, and true is not 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return str(one) == str(other)


class _Difference:
    """Operations so far. Each is made for the state that those before it lead to."""

    def __init__(self, definitions: Definitions) -> None:
        self.operations: list[Part] = []
        self._forms = Forms(definitions)

    def of_objects(self, path: str, type_: str, old: Json, new: Json) -> None:
        """Compare two objects of one type, element by element."""
        for element in self._forms.types[type_].elements:
            before, after = find(element, old), find(element, new)
            if same(_json(before), _json(after)):
                continue
            compare = self._lists if repeats(element) else self._single
            compare(path, element, before, after)

    def _single(self, path: str, element: Element, before: Found | None, after: Found | None) -> None:
        here = _below(path, element)
        if after is None:
            self._emit("delete", here)
        elif before is None:
            self._add(path, element, after, here)
        else:
            self._item(here, element, before, after)

    def _item(self, here: str, element: Element, before: Found, after: Found) -> None:
        """Change what stands at a place: within, where both have something in common, else as a whole."""
        type_ = self._forms.type_of(element, after.key)
        if before.key == after.key and isinstance(before.value, dict) and isinstance(after.value, dict):
            type_ = str(after.value.get("resourceType", type_))
            kept = any(name in before.value and same(before.value[name], data) for name, data in after.value.items())
            alike = before.value.get("resourceType") == after.value.get("resourceType")
            if (kept and alike) or not after.value or self._forms.anonymous(type_):
                self.of_objects(here, type_, before.value, after.value)
                return
        self._emit("replace", here, value=self._forms.typed("value", type_, after.value, after.extra))

    def _lists(self, path: str, element: Element, before: Found | None, after: Found | None) -> None:
        here = _below(path, element)
        if before is not None and not isinstance(before.value or before.extra, list):
            self._emit("delete", here)  # the seed of what was just added, see `_seed`
            before = None
        old, new = items(before), items(after)
        if any(each.extra is not None for each in (*old, *new)):
            # Lists with companions have to stay in step: simplest is to write them again.
            self._delete_from(here, len(old), 0)
            old = []
        self._aligned(path, element, old, new)

    def _aligned(self, path: str, element: Element, old: Sequence[Found], new: Sequence[Found]) -> None:
        """Leave the same items at both ends; change, then remove or insert what lies between."""
        here = _below(path, element)
        shorter = min(len(old), len(new))
        first = next((i for i in range(shorter) if not same(old[i].value, new[i].value)), shorter)
        tail = range(shorter - first)
        last = next((i for i in tail if not same(old[-1 - i].value, new[-1 - i].value)), len(tail))
        for index in range(first, shorter - last):
            self._item(f"{here}[{index}]", element, old[index], new[index])
        self._delete_from(here, len(old) - last, shorter - last if len(old) > len(new) else len(old))
        for index in range(shorter - last, len(new) - last if len(new) > len(old) else 0):
            at_end = last == 0
            self._add(path, element, new[index], f"{here}[{index}]", None if at_end else index)

    def _delete_from(self, here: str, end: int, start: int) -> None:
        for index in range(end - 1, start - 1, -1):
            self._emit("delete", f"{here}[{index}]")

    def _add(self, path: str, element: Element, found: Found, here: str, index: int | None = None) -> None:
        """Add an element, or insert it into its list before `index`."""
        type_ = self._forms.type_of(element, found.key)
        seeded = self._forms.anonymous(type_) and not element.choice
        if not seeded:
            part = self._forms.typed("value", type_, found.value, found.extra)
        else:
            part, state = self._seed("value", type_, found.value)
        if index is None:
            self._emit("add", path, name=element.name, value=part)
        else:
            self._emit("insert", _below(path, element), index=index, value=part)
        if seeded:
            self.of_objects(here, type_, state, found.value)

    def _seed(self, name: str, type_: str, value: Json) -> tuple[Part, dict[str, Any]]:
        """Return a part with one element of an object that no `value[x]` can hold, and what it makes.

        Parts do not say which elements are lists, nor what is left out of one, so the rest comes by operations of
        its own; a list that the seed could not help is taken out by `_lists` and added again.
        """
        element, found = min(self._candidates(type_, value), key=lambda pair: self._cost(*pair))
        if repeats(element):
            first = items(found)[0]
            found = first._replace(extra=None) if first.value is not None else first
        part_name = found.key if element.choice else element.name
        inner = self._forms.type_of(element, found.key)
        if self._forms.anonymous(inner) and not element.choice:
            part, state = self._seed(part_name, inner, found.value)
            return {"name": name, "part": [part]}, {found.key: state}
        part = self._forms.typed(part_name, inner, found.value, found.extra)
        return {"name": name, "part": [part]}, _json(found)

    def _candidates(self, type_: str, value: Json) -> list[tuple[Element, Found]]:
        found = ((element, find(element, value)) for element in self._forms.types[type_].elements)
        return [(element, each) for element, each in found if each is not None]

    def _cost(self, element: Element, found: Found) -> tuple[bool, bool, bool]:
        nested = self._forms.anonymous(self._forms.type_of(element, found.key))
        return element.choice, repeats(element), nested

    def _emit(
        self, kind: str, path: str, *, name: str = "", index: int | None = None, value: Part | None = None
    ) -> None:
        parts: list[Part] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
        if name:
            parts.append({"name": "name", "valueString": name})
        if index is not None:
            parts.append({"name": "index", "valueInteger": index})
        self.operations.append({"name": "operation", "part": [*parts, value] if value else parts})


def _below(path: str, element: Element) -> str:
    return f"{path}.`{element.name}`" if element.name in _KEYWORDS else f"{path}.{element.name}"


def _json(found: Found | None) -> dict[str, Any]:
    """Return what was found as it stood in its object."""
    held = {} if found is None else {found.key: found.value, "_" + found.key: found.extra}
    return {name: value for name, value in held.items() if value is not None}
