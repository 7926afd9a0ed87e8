"""Where an extension may be used.

Spec: https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import FhirPathError, Options, compile_expression
from fhir_server.validation.profiles.elements import Json, objects
from fhir_server.validation.profiles.facts import CORE
from fhir_server.validation.profiles.invariants import LIMITS
from fhir_server.validation.profiles.spot import Spot, node_of, resource_around, resource_type
from fhir_server.validation.run import Run

# R4 allows these in fewer places than its own resources and those of every guide have them; later editions of the
# definitions say so. A path that ends in a point stands for all below it.
_WIDER: Mapping[str, frozenset[str]] = {
    CORE + "structuredefinition-fhir-type": frozenset(("ElementDefinition.type",)),
    CORE + "structuredefinition-normative-version": frozenset(("ElementDefinition",)),
    CORE + "regex": frozenset(("ElementDefinition.type",)),
    CORE + "capabilitystatement-expectation": frozenset(("CapabilityStatement.", "SearchParameter.")),
}
_EVERYWHERE = frozenset(("Element", "*"))


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of an extension: paths of elements, URLs of extensions, FHIRPath."""

    elements: frozenset[str]
    extensions: frozenset[str]
    expressions: tuple[str, ...]
    listed: str

    @property
    def anywhere(self) -> bool:
        """Whether it may be used everywhere; so may an extension that says nothing."""
        return not (self.elements or self.extensions or self.expressions) or not self.elements.isdisjoint(_EVERYWHERE)


def read_contexts(definition: Json) -> Contexts:
    """Return the contexts of an extension's definition; of R4 or of STU3."""
    found: dict[str, list[str]] = {"element": [], "extension": [], "fhirpath": []}
    for context in objects(definition.get("context")):
        if isinstance(context.get("expression"), str):
            found.setdefault(str(context.get("type")), []).append(context["expression"])
    listed = ", ".join(f"{kind[:1]}:{text}" for kind, texts in found.items() for text in texts)
    elements = frozenset(_plain(text) for text in found["element"]) | _WIDER.get(
        str(definition.get("url")), frozenset()
    )
    return Contexts(elements, frozenset(found["extension"]), tuple(found["fhirpath"]), listed)


def _plain(path: str) -> str:
    """A path without `[x]`; that of an element of another definition (`URL#Patient.name`) without its URL."""
    return path.replace("[x]", "").rpartition("#")[2] if "#" in path else path.replace("[x]", "")


def allows(contexts: Contexts, owner: Spot, run: Run) -> bool:
    """Whether an extension may be used on an element, which has spots above it."""
    if any(_is_among(each, contexts.elements) for each in identities(owner, run.knowledge.definitions)):
        return True
    if contexts.extensions and not contexts.extensions.isdisjoint(_extensions_around(owner)):
        return True
    return any(_selects(expression, owner) for expression in contexts.expressions)


def _is_among(path: str, elements: frozenset[str]) -> bool:
    return path in elements or path.partition(".")[0] + "." in elements


def _extensions_around(owner: Spot) -> Iterator[str]:
    """The URL of the extension that the element is, or whose value it is."""
    for place in (owner, owner.above):
        if isinstance(place, Spot) and place.type == "Extension":
            yield str(place.fields.get("url"))


def identities(owner: Spot, definitions: Definitions) -> Iterator[str]:
    """Yield all that an element goes by: its type and the kinds of that, its paths from each type around it."""
    yield from _kinds(owner.type, definitions)
    steps: list[str] = []
    place: Spot = owner
    while isinstance(place.above, Spot) and not resource_type(place.value):
        steps.insert(0, place.name.partition(".ofType(")[0])
        place = place.above
        for kind in _kinds(place.type, definitions):
            yield ".".join((kind, *steps))


def _kinds(name: str, definitions: Definitions) -> Sequence[str]:
    found: list[str] = []
    current: str | None = name
    while current and current not in found:
        found.append(current)
        definition = definitions.types.get(current)
        if definition is None:
            break
        current = "BackboneElement" if definition.kind == "backbone" else definition.base
    return found


def _selects(expression: str, owner: Spot) -> bool:
    """Whether the element is among those that an expression on its resource selects."""
    context = node_of(owner)
    around = resource_around(owner)
    root = context
    for _ in range(_depth(owner) - _depth(around)):
        assert root.parent is not None
        root = root.parent
    try:
        found = compile_expression(expression).evaluate(root, context=root, options=Options(limits=LIMITS))
    except FhirPathError:
        return False
    return any(node.location == context.location for node in found)


def _depth(spot: Spot) -> int:
    depth = 0
    while isinstance(spot.above, Spot):
        spot = spot.above
        depth += 1
    return depth
