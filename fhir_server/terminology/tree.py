"""The codes of one code system with their properties, and which subsumes which.

Spec: https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fhir_server.terminology.members import part, parts, text

Links = dict[str, set[str]]

_UP = frozenset(("parent", "subsumedBy"))
_DOWN = frozenset(("child",))
_CONCEPT_PROPERTY = "http://hl7.org/fhir/concept-properties#"


class CodeTree:
    """A code system. `complete`: it holds every code there is, not a part of them.

    A code may have several parents. Parents that go in a circle subsume each other, and nothing hangs on them.
    """

    def __init__(self, complete: bool) -> None:
        self.complete = complete
        self.properties: dict[str, Links] = {}
        self._parents: Links = {}
        self._children: Links = {}

    def add(self, code: str, parents: Iterable[str] = ()) -> None:
        """Add a code below others."""
        self.properties.setdefault(code, {})
        for parent in parents:
            self._parents.setdefault(code, set()).add(parent)
            self._children.setdefault(parent, set()).add(code)

    def __contains__(self, code: object) -> bool:
        return code in self.properties

    def parents(self, code: str) -> set[str]:
        """Return the codes right above."""
        return self._parents.get(code, set()) & self.properties.keys()

    def children(self, code: str) -> set[str]:
        """Return the codes right below."""
        return self._children.get(code, set()) & self.properties.keys()

    def ancestors(self, code: str) -> set[str]:
        """Return the code itself and all that subsume it."""
        return _reached(code, self._parents) & self.properties.keys()

    def descendants(self, code: str) -> set[str]:
        """Return the code itself and all that it subsumes."""
        return _reached(code, self._children) & self.properties.keys()


def read_tree(resource: Mapping[str, Any]) -> CodeTree:
    """Read a CodeSystem: concepts within concepts, and the properties `parent`, `subsumedBy` and `child`."""
    tree = CodeTree(text(resource, "content") == "complete")
    up, down = _linking(resource)
    for concept, parent in _concepts(resource):
        code = text(concept, "code")
        if not code:
            continue
        tree.add(code, (parent,) if parent else ())
        for name, value in _properties(concept):
            tree.properties[code].setdefault(name, set()).add(value)
    for code, values in tree.properties.items():
        for name in values.keys() & up:
            tree.add(code, values[name])
        for child in [child for name in values.keys() & down for child in values[name] if child in tree]:
            tree.add(child, (code,))
    return tree


def _reached(start: str, links: Links) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        fresh = links.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return found


def _concepts(resource: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each concept and the code that it stands within."""
    waiting = [(concept, "") for concept in parts(resource, "concept")]
    while waiting:
        concept, parent = waiting.pop()
        yield concept, parent
        waiting += [(child, text(concept, "code")) for child in parts(concept, "concept")]


def _properties(concept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for item in parts(concept, "property"):
        for name, value in item.items():
            if name == "valueCoding":
                yield text(item, "code"), text(part(item, name), "code")
            elif isinstance(value, bool):
                yield text(item, "code"), str(value).lower()
            elif name.startswith("value"):
                yield text(item, "code"), str(value)


def _linking(resource: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the properties that lead up, and of those that lead down.

    Spec: https://hl7.org/fhir/R4/codesystem-concept-properties.html
    """
    declared = {text(item, "code"): text(item, "uri") for item in parts(resource, "property")}
    up = {code for code, uri in declared.items() if uri == f"{_CONCEPT_PROPERTY}parent"}
    down = {code for code, uri in declared.items() if uri == f"{_CONCEPT_PROPERTY}child"}
    return _UP | up, _DOWN | down
