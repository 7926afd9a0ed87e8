"""Numbers for the concepts of a hierarchy, such that what lies below a concept is one or few intervals of numbers.

Concepts are numbered along a spanning tree, parents first, so that a subtree is one interval; what a concept reaches
by its other edges is kept as further intervals beside it. (R. Agrawal, A. Borgida, H. V. Jagadish: Efficient
management of transitive relationships in large data and knowledge bases, 1989.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.terminology.systems.intervals import Bounds, joined

Edges = Sequence[Sequence[int]]
"""For each node, by its place, those on the other end."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """Where each node went.

    Attributes:
        number: of each node, by its place.
        end: of each node's own subtree: it is `range(number, end)`.
        more: bounds of what else is below a node, where there is anything.
        cyclic: edges `(child, parent)` that were left out, since they closed a circle.
    """

    number: Sequence[int]
    end: Sequence[int]
    more: dict[int, Bounds]
    cyclic: Sequence[tuple[int, int]]


def number(parents: Edges) -> Numbering:
    """Number the nodes of a hierarchy, given the parents of each."""
    children = _turned(parents)
    order, cyclic = _topological(parents, children)
    broken = frozenset(cyclic)
    tree = _spanning_tree(parents, order, broken)
    numbers, ends = _preorder(tree, parents, order)
    return Numbering(numbers, ends, _more(children, order, broken, numbers, ends), cyclic)


def _turned(edges: Edges) -> list[list[int]]:
    turned: list[list[int]] = [[] for _ in edges]
    for node, others in enumerate(edges):
        for other in others:
            turned[other].append(node)
    return turned


def _topological(parents: Edges, children: Edges) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the nodes, each after all its parents, and the edges that had to go for that."""
    waiting = [len(above) for above in parents]
    ready = [node for node, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    cyclic: list[tuple[int, int]] = []
    done = bytearray(len(waiting))
    stuck = 0
    while len(order) < len(waiting):
        while ready:
            node = ready.pop()
            order.append(node)
            done[node] = 1
            for child in children[node]:
                waiting[child] -= 1
                if waiting[child] == 0 and not done[child]:
                    ready.append(child)
        while stuck < len(waiting) and done[stuck]:
            stuck += 1
        if stuck < len(waiting):
            cyclic += [(stuck, parent) for parent in parents[stuck] if not done[parent]]
            waiting[stuck] = 0
            ready.append(stuck)
    return order, cyclic


def _spanning_tree(parents: Edges, order: Sequence[int], broken: frozenset[tuple[int, int]]) -> list[list[int]]:
    """Hang each node under its deepest parent, which leaves the fewest intervals over."""
    depth = [0] * len(parents)
    tree: list[list[int]] = [[] for _ in parents]
    hung = [-1] * len(parents)
    for node in order:
        best = -1
        for parent in parents[node]:
            if (best < 0 or depth[parent] > depth[best]) and (not broken or (node, parent) not in broken):
                best = parent
        if best >= 0:
            depth[node] = depth[best] + 1
            hung[node] = best
    for node, parent in enumerate(hung):
        if parent >= 0:
            tree[parent].append(node)
    # The roots, in the order of the source, are the children of nobody.
    tree.append([node for node, parent in enumerate(hung) if parent < 0])
    return tree


def _preorder(tree: Sequence[Sequence[int]], parents: Edges, order: Sequence[int]) -> tuple[list[int], list[int]]:
    numbers, ends = [0] * len(parents), [0] * len(parents)
    stack = list(reversed(tree[-1]))
    for count in range(len(order)):
        node = stack.pop()
        numbers[node] = count
        stack += reversed(tree[node])
    sizes = [1] * len(parents)
    # From the last number to the first, each subtree is complete before its parent asks for it.
    for node in sorted(range(len(parents)), key=numbers.__getitem__, reverse=True):
        sizes[node] += sum(sizes[child] for child in tree[node])
        ends[node] = numbers[node] + sizes[node]
    return numbers, ends


def _more(
    children: Edges,
    order: Sequence[int],
    broken: frozenset[tuple[int, int]],
    numbers: Sequence[int],
    ends: Sequence[int],
) -> dict[int, Bounds]:
    more: dict[int, Bounds] = {}
    for node in reversed(order):
        low, high = numbers[node], ends[node]
        found: list[tuple[int, int]] = []
        for child in children[node]:
            if broken and (child, node) in broken:
                continue
            if not low <= numbers[child] < high:
                found.append((numbers[child], ends[child]))
            bounds = more.get(child)
            if bounds:
                found += [
                    (bounds[at], bounds[at + 1])
                    for at in range(0, len(bounds), 2)
                    if bounds[at] < low or bounds[at + 1] > high
                ]
        if found:
            more[node] = joined(found)
    return more
