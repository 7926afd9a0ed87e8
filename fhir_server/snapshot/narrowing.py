"""That a differential only narrows what its base allows.

Spec: https://hl7.org/fhir/R4/profiling.html#sd
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.snapshot.node import Element

_OPEN = frozenset(("Resource", "DomainResource", "Element", "BackboneElement", "Type", "*", ""))
"""Types that any other may stand for."""


def narrowed(base: Element, said: Element) -> tuple[Element, list[str]]:
    """Return what a differential says of an element as far as its base allows it, and what the base does not allow."""
    low, high = base.get("min", 0), _most(base.get("max"))
    kept, faults = dict(said), []
    if said.get("min", low) < low:
        faults.append(f"min {said['min']} is less than the {low} of its base")
        del kept["min"]
    if "max" in said and _most(said["max"]) > high:
        faults.append(f"max {said['max']} is more than the {base['max']} of its base")
        del kept["max"]
    allowed, types = _codes(base), _codes(said)
    if allowed and not allowed & _OPEN and not types <= allowed:
        faults.append(f"its base does not have the type {', '.join(sorted(types - allowed))}")
        kept["type"] = [each for each in said["type"] if _fhir_type(each) in allowed] or base["type"]
    return kept, faults


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
