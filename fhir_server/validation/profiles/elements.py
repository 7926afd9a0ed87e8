"""A snapshot as a tree: elements with their children and slices.

Spec: https://hl7.org/fhir/R4/elementdefinition.html#path
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

# A snapshot has a few hundred elements; the largest ones published have some thousands.
MAX_ELEMENTS = 20_000
MAX_DEPTH = 30


def objects(value: Any) -> list[Json]:
    """Return the JSON objects of a list; nothing where it is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@dataclass(slots=True, eq=False)
class Tree:
    """One element of a snapshot.

    Attributes:
        path: `Patient.name`.
        label: the path with names of slices, `Patient.extension:race.url`.
        name: the last step of the path, without `[x]`.
        choice: the path ends in `[x]`.
        definition: its ElementDefinition.
        slice: the name of the slice; empty for an element that is none.
        children: by name; slices are not among them.
        slices: those of this element, or the re-slices of this slice.
    """

    path: str
    label: str
    name: str
    choice: bool
    definition: Json
    slice: str = ""
    children: dict[str, "Tree"] = field(default_factory=dict)
    slices: list["Tree"] = field(default_factory=list)

    @property
    def slicing(self) -> Json | None:
        """How the element is sliced; None when it is not."""
        found = self.definition.get("slicing")
        return found if isinstance(found, dict) else None

    def all(self) -> Iterator["Tree"]:
        """Yield this element and all below it."""
        yield self
        for child in self.children.values():
            yield from child.all()
        for part in self.slices:
            yield from part.all()


def read_tree(elements: Sequence[Any]) -> Tree | None:
    """Return the root of a snapshot's elements; None where there is none. What stands nowhere is left out.

    Elements stand in the order of their paths, a slice after the children of what it is a slice of; so the parent of
    an element is the last one seen with the parent's path.
    """
    last: dict[str, Tree] = {}
    root: Tree | None = None
    for definition in elements[:MAX_ELEMENTS]:
        path = definition.get("path") if isinstance(definition, dict) else None
        if not isinstance(path, str) or not path:
            continue
        if root is None:
            root = last[path] = Tree(path, path, path, False, definition)
            continue
        tree = _placed(definition, path, last)
        if tree is not None:
            last[path] = tree
    return root


def _placed(definition: Json, path: str, last: Mapping[str, Tree]) -> Tree | None:
    above, _, step = path.rpartition(".")
    parent = last.get(above)
    if parent is None or path.count(".") > MAX_DEPTH:
        return None
    name = step.removesuffix("[x]")
    sliced = definition.get("sliceName")
    tree = Tree(path, f"{parent.label}.{step}", name, step.endswith("[x]"), definition)
    if isinstance(sliced, str) and sliced:
        return _slice(tree, sliced, parent)
    parent.children.setdefault(name, tree)
    return parent.children[name]


def _slice(tree: Tree, name: str, parent: Tree) -> Tree | None:
    """A slice hangs on its element, a re-slice `a/b` on the slice `a`."""
    entry = parent.children.get(tree.name) or _choice(tree.name, parent)
    if entry is None:
        # A differential may leave out the element that is sliced; extensions are sliced by their URL then.
        entry = Tree(tree.path, tree.label, tree.name, tree.choice, _implied(tree))
        parent.children[tree.name] = entry
    tree.slice = name
    tree.label = f"{entry.label}:{name}"
    _owner(entry, name).slices.append(tree)
    return tree


def _owner(entry: Tree, name: str) -> Tree:
    """The slice `a/b` that `a/b/c` is a slice of; the element itself for `a`, and where there is no such slice."""
    steps, owner = name.split("/")[:MAX_DEPTH], entry
    for count in range(1, len(steps)):
        outer = "/".join(steps[:count])
        owner = next((part for part in owner.slices if part.slice == outer), owner)
    return owner


def _choice(name: str, parent: Tree) -> Tree | None:
    """`valueQuantity` is a slice of `value[x]`."""
    return next((c for c in parent.children.values() if c.choice and name.startswith(c.name)), None)


def _implied(tree: Tree) -> Json:
    path = "url" if tree.name in ("extension", "modifierExtension") else "$this"
    kind = "value" if path == "url" else "type"
    return {"path": tree.path, "slicing": {"discriminator": [{"type": kind, "path": path}], "rules": "open"}}
