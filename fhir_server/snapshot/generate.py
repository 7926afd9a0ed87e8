"""The snapshot of a profile or type: its base, changed by its differential.

Spec: https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import Issue
from fhir_server.snapshot.differential import Change, changes, same_name
from fhir_server.snapshot.errors import SnapshotError
from fhir_server.snapshot.merge import constraints, merge
from fhir_server.snapshot.narrowing import narrowed
from fhir_server.snapshot.node import Element, Node, flatten
from fhir_server.snapshot.slices import choice_of, exhausted, implied, new_slice, type_named
from fhir_server.snapshot.unfold import Definition, Find, grown, unfold

PLACE = "StructureDefinition.differential"
MAX_ELEMENTS = 20_000
"""What a differential may add to its base; the largest published ones come to some thousands."""

NOTHING = "http://hl7.org/fhir/StructureDefinition/Base"
"""What later versions of FHIR base logical models on; it has no elements."""
_TAKEN = frozenset(("short", "definition", "comment", "requirements", "alias", "isModifier", "isModifierReason"))


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot; `faults` is what the differential says in vain, each with its element."""

    elements: list[dict[str, Any]]
    faults: tuple[str, ...] = ()


def generate(definition: Definition, find_base: Find, find: Find) -> Made:
    """Make a snapshot. What the base does not have or not allow is left out, and told.

    Args:
        find_base: gives what the definition is based on; its errors are those of this snapshot.
        find: gives types and their profiles.

    Raises:
        SnapshotError: the base is not known, or the snapshot would be too large.
    """
    if not definition.get("differential", {}).get("element") and definition.get("snapshot", {}).get("element"):
        return Made([dict(element) for element in definition["snapshot"]["element"]])
    generation = _Generation(definition, find_base, find)
    elements = list(flatten(generation.run()))
    return Made(elements, tuple(generation.faults))


class _Generation:
    """One differential on its way into its base."""

    def __init__(self, definition: Definition, find_base: Find, find: Find) -> None:
        self.definition = definition
        self.find_base = find_base
        self.find = find
        self.url = str(definition.get("url") or definition.get("name") or "StructureDefinition")
        self.grows = definition.get("derivation") != "constraint"
        self.base: Definition | None = None
        self.name = ""
        self.faults: list[str] = []
        self.added = 0

    def run(self) -> Node:
        said = self.definition.get("differential", {}).get("element", ())
        root = self._root(_root_name(self.definition, said))
        change = changes(said, root.name, self.faults)
        if change.elements:
            root.element = merge(root.element, change.element, self.url)
            root.element = {name: value for name, value in root.element.items() if name != "sliceName"}
        if self.grows:
            root.element = {**root.element, "base": _base_of(root.element, root.name)}
        self._children(root, change, root.name)
        return root

    def _root(self, name: str) -> Node:
        url = self.definition.get("baseDefinition")
        if not url:
            return Node(name, "", {"min": 0, "max": "*"})
        self.base = self.find_base(str(url))
        if self.base is None and url == NOTHING:
            return Node(name, "", {"min": 0, "max": "*"})
        root = grown(self.base) if self.base is not None else None
        if root is None:
            raise self._error(f"its base {url} is not known here", code="not-found")
        root.name = self.name = name
        if self.grows:
            self._unsliced(root)
        return root

    def _unsliced(self, node: Node) -> None:
        """Types do not slice their extensions, but for data types; profiles do."""
        kind = self.definition.get("kind")
        kept = ("extension",) if kind == "complex-type" or (kind == "logical" and node.name != self.name) else ()
        for child in node.children:
            if child.types() == ["Extension"] and child.name not in kept and "slicing" in child.element:
                child.element = {name: value for name, value in child.element.items() if name != "slicing"}

    def _children(self, node: Node, change: Change, place: str) -> None:
        """Apply what is said about the children and slices of children of a node."""
        if not change.children:
            return
        if not node.children:
            if not unfold(node, self.base, self.find) and not self.grows:
                self.faults.append(f"{place} has no elements of its own, or its type is not known")
                return
            if self.grows:
                self._unsliced(node)
            self._grown(node)
        for name, group in self._grouped(node, change, ":" in place).items():
            self._group(node, name, group, f"{place}.{name}")

    def _grouped(self, node: Node, change: Change, inside: bool) -> dict[str, dict[str, Change]]:
        """Return what is said by element and slice, with short forms (`valueQuantity`) written out."""
        groups: dict[str, dict[str, Change]] = {}
        for (name, slice_), each in change.children.items():
            element, slice_name = self._named(node, name, slice_)
            alone = inside and sum(same_name(element, other) for other, _ in change.children) == 1
            if alone and not slice_ and slice_name and (choice := node.child(element)) is not None:
                slice_name = _narrowed(choice, name)
            group = groups.setdefault(element, {})
            group[slice_name] = group[slice_name].joined(each) if slice_name in group else each
        return groups

    def _named(self, node: Node, name: str, slice_: str) -> tuple[str, str]:
        if node.child(name) is not None:
            return name, slice_
        choice = choice_of(node, name)
        if choice is None:
            return name, slice_
        single = len(choice.types()) == 1 and not slice_ and node.child(choice.name, name) is None
        return choice.name, "" if single and "slicing" not in choice.element else slice_ or name

    def _group(self, parent: Node, name: str, group: Mapping[str, Change], place: str) -> None:
        """Apply what is said about one element, then what is said about its slices."""
        sliced = parent.child(name) or self._new(parent, name, group)
        if sliced is None:
            self.faults.append(f"there is no element {place}")
            return
        if not self._sliced(sliced, group, place):
            group = self._unnamed(group, place)
        there = {node.slice: node for node in parent.children if node.name == name}
        # Slices start from the element as the base has it, whatever is said about it here.
        plain = sliced.copy() if group.keys() - there.keys() else sliced
        if "" in group:
            self._change(sliced, group[""], place)
        for slice_, each in sorted(group.items(), key=lambda said: said[0].count("/")):
            if slice_ and slice_ not in there:
                there[slice_] = new_slice(plain, there, slice_)
                self._grown(there[slice_])
                parent.insert(there[slice_])
            if slice_:
                self._change(there[slice_], each, f"{place}:{slice_}")
        if len(there) > 1:
            sliced.element = exhausted(sliced, there.values())

    def _sliced(self, sliced: Node, group: Mapping[str, Change], place: str) -> bool:
        """Tell whether slices have a slicing; where neither base nor differential say how, it may go without saying."""
        slices = {slice_: each for slice_, each in group.items() if slice_}
        if not slices or "slicing" in sliced.element or ("" in group and "slicing" in group[""].element):
            return True
        short = [each for each in slices.values() if each.name != sliced.name and each.elements]
        required = any(each.element.get("min", 0) > 0 for each in short)
        closed = required or (bool(short) and place == "Extension.value[x]")
        if (slicing := implied(sliced, closed)) is None:
            return False
        sliced.element = {**sliced.element, "slicing": slicing}
        if closed:
            types = [type_ for name in slices if (type_ := type_named(sliced, name)) is not None]
            sliced.element |= {"type": types} | ({"min": 1} if required else {})
        return True

    def _unnamed(self, group: Mapping[str, Change], place: str) -> dict[str, Change]:
        """Return what is said about an element under a name, as old tools did where there is nothing to slice."""
        names = [slice_ for slice_ in group if slice_]
        plain = {"": group[""]} if "" in group else {}
        if len(names) > 1:
            self.faults.append(f"{place} has no slicing that tells its slices {', '.join(names)[:200]} apart")
            return plain
        change = group[names[0]]
        return {"": plain[""].joined(change) if plain else change}

    def _new(self, parent: Node, name: str, group: Mapping[str, Change]) -> Node | None:
        """Add an element that the base does not have; only new types may."""
        if not self.grows or "" not in group or not group[""].elements:
            return None
        said = group[""].element
        node = Node(name, "", {"base": _base_of(said, str(said.get("path", "")))})
        parent.children.append(node)
        return node

    def _change(self, node: Node, change: Change, place: str) -> None:
        if change.elements:
            said: Element = {key: value for key, value in change.element.items() if key != "sliceName" or node.slice}
            if not self.grows:
                said, faults = narrowed(node.element, said)
                self.faults += [f"{place}: {text}" for text in faults]
            node.element = merge(self._typed(node, said), said, self.url)
        self._children(node, change, place)

    def _typed(self, node: Node, said: Element) -> Element:
        """Return the element as the profile of its type describes it, where the differential names one.

        An extension brings its own cardinality too.
        """
        types: Sequence[Element] = () if self.grows else said.get("type", ())
        profiles = [profile for each in types for profile in each.get("profile", ())]
        before = [profile for each in node.element.get("type", ()) for profile in each.get("profile", ())]
        if len(types) != 1 or len(profiles) != 1 or profiles == before:
            return node.element
        found = self.find(profiles[0])
        if found is None or found.get("type") != types[0].get("code"):
            return node.element
        root: Element = next(iter(found["snapshot"]["element"]), {})
        taken = _TAKEN | {"min", "max"} if found["type"] == "Extension" else _TAKEN
        element = {**node.element, **{name: value for name, value in root.items() if name in taken}}
        rules = constraints(element.get("constraint", ()), root.get("constraint", ()), str(profiles[0]))
        return {**element, "constraint": rules} if rules else element

    def _grown(self, node: Node) -> None:
        """Count what was added, so that a few words cannot fill the memory."""
        self.added += node.size()
        if self.added > MAX_ELEMENTS:
            raise self._error(f"its snapshot has more than {MAX_ELEMENTS} elements", code="too-costly")

    def _error(self, text: str, code: str) -> SnapshotError:
        return SnapshotError(f"{self.url}: {text}", issues=[Issue(f"{self.url}: {text}", code, expression=(PLACE,))])


def _root_name(definition: Definition, said: Iterable[Element]) -> str:
    """Return the name that paths begin with; the type of a logical model is a URL, and its paths say what they like."""
    type_ = str(definition.get("type", "")).rpartition("/")[2]
    if definition.get("kind") == "logical" or not type_:
        for element in said:
            return str(element.get("path", "")).partition(".")[0]
    return type_


def _narrowed(choice: Node, name: str) -> str:
    """Leave one type to a choice that is not sliced; within a slice a short form means that and no further slice."""
    if "slicing" in choice.element:
        return name
    choice.element = {**choice.element, "type": [type_named(choice, name)]}
    return ""


def _base_of(element: Element, path: str) -> dict[str, Any]:
    return {"path": path, "min": element.get("min", 0), "max": element.get("max", "*")}
