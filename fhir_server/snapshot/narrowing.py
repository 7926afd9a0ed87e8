"""Whether a differential only narrows what its base allows.

Spec: https://hl7.org/fhir/R4/profiling.html#sd
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.snapshot.node import Element

_OPEN = frozenset(("Resource", "DomainResource", "Element", "BackboneElement", "Type", "*", ""))
"""Types that any other may stand for."""


def widened(base: Element, said: Element) -> Iterator[str]:
    """Yield what a differential says of an element that its base does not allow."""
    low, high = base.get("min", 0), _most(base.get("max"))
    if said.get("min", low) < low:
        yield f"min {said['min']} is less than the {low} of its base"
    if "max" in said and _most(said["max"]) > high:
        yield f"max {said['max']} is more than the {base['max']} of its base"
    allowed, types = _codes(base), _codes(said)
    if allowed and not allowed & _OPEN and not types <= allowed:
        yield f"its base does not have the type {', '.join(sorted(types - allowed))}"


def _most(max_: Any) -> float:
    text = str(max_)
    return int(text) if text.isdecimal() else float("inf")


def _codes(element: Element) -> set[str]:
    """Return the codes of the types; those of FHIRPath's own types by the FHIR type that they stand for."""
    return {_fhir_type(each) for each in element.get("type", ())}


def _fhir_type(type_: Mapping[str, Any]) -> str:
    for extension in type_.get("extension", ()):
        if str(extension.get("url", "")).endswith("structuredefinition-fhir-type"):
            return str(extension.get("valueUrl") or extension.get("valueUri"))
    code = str(type_.get("code", ""))
    return code if "fhirpath/System." not in code else "Element"
