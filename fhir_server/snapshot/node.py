"""Elements of a snapshot as a tree, in which slices stand behind the element that they are slices of."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Element = Mapping[str, Any]


class Node:
    """One element definition: its name is the last step of its path.

    The element is never changed in place; it may belong to a base or to the definition of a type.
    """

    __slots__ = ("children", "element", "name", "slice")

    def __init__(self, name: str, slice_: str, element: Element) -> None:
        self.name = name
        self.slice = slice_
        self.element = element
        self.children: list[Node] = []

    def copy(self, slice_: str | None = None) -> "Node":
        """Return a node that can be changed without changing this one."""
        copied = Node(self.name, self.slice if slice_ is None else slice_, self.element)
        copied.children = [child.copy() for child in self.children]
        return copied

    def child(self, name: str, slice_: str = "") -> "Node | None":
        """Return a child, or a slice of one."""
        for node in self.children:
            if node.name == name and node.slice == slice_:
                return node
        return None

    def insert(self, slice_: "Node") -> None:
        """Put a slice behind the other slices of its element; a slice of a slice behind those of that one."""
        over, _, _ = slice_.slice.rpartition("/")
        for index in range(len(self.children), 0, -1):
            node = self.children[index - 1]
            if node.name == slice_.name and (not over or node.slice == over or node.slice.startswith(f"{over}/")):
                self.children.insert(index, slice_)
                return
        self.children.append(slice_)

    def size(self) -> int:
        """Return the number of elements here and below."""
        return 1 + sum(child.size() for child in self.children)

    def types(self) -> list[str]:
        """Return the codes of the types."""
        return [str(each.get("code", "")) for each in self.element.get("type", ())]


def tree(elements: Iterable[Element]) -> Node | None:
    """Make a tree of the elements of a snapshot; None where there are none.

    Places follow from paths, slice names and the order alone, for ids of older tools cannot be relied on.
    """
    stack: list[Node] = []
    for element in elements:
        path: list[str] = str(element.get("path", "")).split(".")
        node = Node(path[-1], str(element.get("sliceName", "")) if len(path) > 1 else "", element)
        if stack:
            del stack[max(1, len(path) - 1) :]
            stack[-1].children.append(node)
        stack.append(node)
    return stack[0] if stack else None


def flatten(root: Node) -> Iterator[dict[str, Any]]:
    """Yield the elements in the order of a snapshot, with ids and paths as they are in this tree.

    Spec: https://hl7.org/fhir/R4/elementdefinition.html#id
    """
    stack = [(root, "", "")]
    while stack:
        node, above, path = stack.pop()
        name = f"{node.name}:{node.slice}" if node.slice else node.name
        id_ = f"{above}.{name}" if above else name
        path = f"{path}.{node.name}" if path else node.name
        yield {**node.element, "id": id_, "path": path}
        stack.extend((child, id_, path) for child in reversed(node.children))
