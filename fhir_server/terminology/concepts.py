"""The concepts of a CodeSystem resource: read once, held compactly, with which is above which.

Spec: https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.terminology.code_system import (
    Concept,
    Designation,
    Header,
    Json,
    Property,
    PropertyDefinition,
)
from fhir_server.terminology.members import extension, part, parts, text

_UP = frozenset(("parent", "subsumedBy"))
_DOWN = frozenset(("child",))
_STANDARD = "http://hl7.org/fhir/concept-properties#"
_INACTIVE = frozenset(("inactive", "retired"))
_STATUS_EXTENSION = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"
_VERSION_ALGORITHM = "http://hl7.org/fhir/5.0/StructureDefinition/extension-CodeSystem.versionAlgorithm[x]"


@dataclass(slots=True)
class Concepts:
    """What was read: the concepts by code in the order of definition, and the links that there are."""

    concepts: dict[str, Concept] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)

    def link(self, parent: str, child: str) -> None:
        """Note that one code is right above another."""
        above = self.parents.setdefault(child, [])
        if parent not in above:
            above.append(parent)
            self.children.setdefault(parent, []).append(child)


def read_header(resource: Json) -> Header:
    """Read all but the concepts of a CodeSystem."""
    return Header(
        url=text(resource, "url"),
        version=text(resource, "version"),
        id=text(resource, "id"),
        name=text(resource, "name"),
        title=text(resource, "title"),
        status=text(resource, "status"),
        experimental=resource.get("experimental") is True,
        content=text(resource, "content"),
        case_sensitive=resource.get("caseSensitive") is not False,
        value_set=text(resource, "valueSet"),
        supplements=text(resource, "supplements"),
        language=text(resource, "language"),
        hierarchy=bool(text(resource, "hierarchyMeaning")) or any("concept" in c for c in parts(resource, "concept")),
        compositional=resource.get("compositional") is True,
        standards_status=str(extension(resource, _STATUS_EXTENSION) or ""),
        versions=str(extension(resource, _VERSION_ALGORITHM) or ""),
        properties=tuple(map(_definition, parts(resource, "property"))),
        description=text(resource, "description"),
        copyright=text(resource, "copyright"),
    )


def read_concepts(resource: Json) -> Concepts:
    """Read concepts within concepts, and the properties `parent`, `subsumedBy` and `child`."""
    names = _Names.of(resource)
    found = Concepts()
    up: list[tuple[str, str]] = []
    for raw, parent in _nested(resource):
        concept = names.concept(raw)
        if not concept.code:
            continue
        found.concepts.setdefault(concept.code, concept)
        if parent:
            found.link(parent, concept.code)
        if concept.properties:
            up += names.links(concept)
    for parent, child in up:
        if parent in found.concepts and child in found.concepts:
            found.link(parent, child)
    return found


@dataclass(frozen=True, slots=True)
class _Names:
    """The codes by which a system calls the properties that FHIR defines.

    Spec: https://hl7.org/fhir/R4/codesystem-concept-properties.html
    """

    up: frozenset[str]
    down: frozenset[str]
    abstract: frozenset[str]
    inactive: frozenset[str]
    status: frozenset[str]

    @classmethod
    def of(cls, resource: Json) -> "_Names":
        declared = {text(item, "code"): text(item, "uri") for item in parts(resource, "property")}

        def named(name: str) -> frozenset[str]:
            own = {code for code, uri in declared.items() if uri == _STANDARD + name}
            # Without a declaration, or with one that says no URI, the name itself is the standard's.
            return frozenset(own if own or declared.get(name) else {name})

        return cls(
            _UP | named("parent"), _DOWN | named("child"), named("notSelectable"), named("inactive"), named("status")
        )

    def concept(self, raw: Json) -> Concept:
        code, display, definition = text(raw, "code"), text(raw, "display"), text(raw, "definition")
        if raw.keys().isdisjoint(("property", "designation", "extension")):
            return Concept(code, display, definition)
        properties = tuple(filter(None, map(_property, parts(raw, "property"))))
        status = next((each.text for each in properties if each.code in self.status), "")
        inactive = {each.text for each in properties if each.code in self.inactive}
        return Concept(
            code,
            display,
            definition,
            tuple(map(_designation, parts(raw, "designation"))),
            properties,
            any(each.code in self.abstract and each.text == "true" for each in properties),
            "true" in inactive or ("false" not in inactive and status in _INACTIVE),
            status,
            tuple(parts(raw, "extension")),
        )

    def links(self, concept: Concept) -> Iterator[tuple[str, str]]:
        """Yield (parent, child) as the properties say."""
        for each in concept.properties:
            if each.code in self.up:
                yield each.text, concept.code
            elif each.code in self.down:
                yield concept.code, each.text


def closure(starts: Iterable[str], links: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what is reached over links, each once, depth first; not the starts, unless a circle leads back."""
    seen: set[str] = set()
    waiting = [iter(links.get(start, ())) for start in starts]
    waiting.reverse()
    while waiting:
        code = next(waiting[-1], None)
        if code is None:
            waiting.pop()
        elif code not in seen:
            seen.add(code)
            yield code
            waiting.append(iter(links.get(code, ())))


def _nested(resource: Json) -> Iterator[tuple[Json, str]]:
    """Yield each concept and the code that it stands within, in the order of the resource."""
    waiting = [(iter(parts(resource, "concept")), "")]
    while waiting:
        concepts, parent = waiting[-1]
        concept = next(concepts, None)
        if concept is None:
            waiting.pop()
            continue
        yield concept, parent
        if "concept" in concept:
            waiting.append((iter(parts(concept, "concept")), text(concept, "code")))


def _definition(item: Json) -> PropertyDefinition:
    return PropertyDefinition(text(item, "code"), text(item, "uri"), text(item, "description"), text(item, "type"))


def _designation(item: Json) -> Designation:
    use = part(item, "use") or None
    return Designation(text(item, "value"), text(item, "language"), use, tuple(parts(item, "extension")))


def _property(item: Json) -> Property | None:
    kind, value = next(((name, value) for name, value in item.items() if name.startswith("value")), ("", None))
    return Property(text(item, "code"), kind, value) if kind else None
