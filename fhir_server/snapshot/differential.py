"""A differential as a tree: the order of its elements and the parents that it leaves out no longer matter."""

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.snapshot.node import Element

MAX_STEPS = 50
"""Published profiles come to a dozen."""

Step = tuple[str, str]
"""The name of an element and of its slice."""


class Change:
    """What a differential says about one element, its children and its slices."""

    __slots__ = ("children", "elements", "name", "slice")

    def __init__(self, name: str, slice_: str = "") -> None:
        self.name = name
        self.slice = slice_
        self.elements: list[Element] = []
        self.children: dict[Step, Change] = {}

    def child(self, step: Step) -> "Change":
        """Return what is said about a child; made where nothing was said yet."""
        return self.children.setdefault(step, Change(*step))

    def joined(self, other: "Change") -> "Change":
        """Return what both say."""
        both = Change(self.name, self.slice)
        both.elements = self.elements + other.elements
        both.children = dict(self.children)
        for step, child in other.children.items():
            both.children[step] = both.children[step].joined(child) if step in both.children else child
        return both

    @property
    def element(self) -> Element:
        """All that is said about the element itself: several entries for one element count together."""
        if len(self.elements) == 1:
            return self.elements[0]
        merged: dict[str, Any] = {}
        for element in self.elements:
            merged |= element
        return merged


def changes(elements: Iterable[Element], type_: str, faults: list[str]) -> Change:
    """Make the tree of a differential; elements without a path, or with that of another type, are faults."""
    root = Change(type_)
    trail: Sequence[Step] = ()
    for element in elements:
        trail = _steps(element, trail)
        if not trail or trail[0][0] != type_ or len(trail) > MAX_STEPS:
            name = str(element.get("id") or element.get("path"))[:100]
            far = len(trail) > MAX_STEPS
            faults.append(f"{name} has more than {MAX_STEPS} steps" if far else f"{name} is not one of {type_}")
            continue
        change = root
        for step in trail[1:]:
            change = change.child(step)
        change.elements.append(element)
    return root


def _steps(element: Element, before: Sequence[Step]) -> Sequence[Step]:
    """Return the way to an element: by its id, or where there is none by what stands before it.

    Spec: https://hl7.org/fhir/R4/elementdefinition.html#id
    """
    path = str(element.get("path", ""))
    if not path:
        return ()
    names = path.split(".")
    given = _by_id(str(element.get("id", "")), names) or _by_order(names, before)
    slice_ = str(element.get("sliceName", "")) if len(names) > 1 else ""
    return (*given[:-1], (given[-1][0], slice_ or given[-1][1]))


def _by_id(id_: str, names: Sequence[str]) -> list[Step]:
    parts = [part.partition(":") for part in id_.split(".")]
    steps = [(name, slice_) for name, _, slice_ in parts]
    if len(steps) != len(names):
        return []
    return steps if all(map(same_name, [name for name, _ in steps], names)) else []


def same_name(name: str, other: str) -> bool:
    """Tell whether two names mean the same element, which may be written as `value[x]` or `valueQuantity`."""
    return name == other or (name.endswith("[x]") and other.startswith(name[:-3]))


def _by_order(names: Sequence[str], before: Sequence[Step]) -> list[Step]:
    steps: list[Step] = []
    same = True
    for index, name in enumerate(names):
        same = same and index < len(before) and before[index][0] == name
        steps.append((name, before[index][1] if same and index < len(names) - 1 else ""))
    return steps
