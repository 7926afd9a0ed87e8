"""What a differential says about one element, merged with what the base says.

Spec: https://hl7.org/fhir/R4/elementdefinition.html#interpretation
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.snapshot.node import Element

_VALUES = ("fixed", "pattern", "defaultValue", "minValue", "maxValue")
_TEXTS = frozenset(("short", "definition", "comment", "requirements", "label", "meaningWhenMissing"))
_LISTS = {"alias": "", "condition": "", "code": "", "representation": "", "mapping": "", "example": "label"}
_ONCE_TRUE = frozenset(("mustSupport", "isModifier"))
_OWN = frozenset(("id", "path", "sliceName", "sliceIsConstraining"))
_MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"


def merge(base: Element, said: Element, source: str) -> dict[str, Any]:
    """Return the base's element with what is said about it; `source` is the URL of the profile that says it."""
    merged = dict(base)
    for name, value in said.items():
        if name.startswith(_VALUES):
            _replace_value(merged, name)
        merged[name] = _merged(name, base.get(name), value, source)
    return merged


def _replace_value(merged: dict[str, Any], name: str) -> None:
    """Drop what had the same meaning with another type."""
    prefix = next(prefix for prefix in _VALUES if name.startswith(prefix))
    for other in [key for key in merged if key.startswith(prefix) and key != name]:
        del merged[other]


def _merged(name: str, base: Any, said: Any, source: str) -> Any:
    if name == "constraint":
        return constraints(base or (), said, source)
    if base is None or name in _OWN:
        return said
    if name in _TEXTS:
        return f"{base}\n{said[3:]}" if isinstance(said, str) and said.startswith("...") else said
    if name in _ONCE_TRUE:
        return base is True or said
    if name in _LISTS:
        return [*base, *(each for each in said if each not in base)]
    if name in ("extension", "modifierExtension"):
        return _extensions(base, said)
    if name == "slicing":
        return {**base, **said}
    return _binding(base, said) if name == "binding" else said


def constraints(base: Sequence[Element], said: Sequence[Element], source: str) -> list[Element]:
    """Return all rules; one that is said again stays as it was."""
    keys = {rule.get("key") for rule in base}
    return [*base, *({"source": source, **rule} for rule in said if rule.get("key") not in keys)]


def sourced(element: Element, source: str) -> Element:
    """Return an element whose rules say where they come from."""
    if all("source" in rule for rule in element.get("constraint", ())):
        return element
    return {**element, "constraint": [{"source": source, **rule} for rule in element["constraint"]]}


def _extensions(base: Sequence[Element], said: Sequence[Element]) -> list[Element]:
    urls = {each.get("url") for each in said}
    return [*(each for each in base if each.get("url") not in urls), *said]


def _binding(base: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new binding; the widest value set that the base allows goes on to count."""
    merged = {**{name: value for name, value in base.items() if name in ("strength", "valueSet")}, **said}
    limits = [each for each in base.get("extension", ()) if each.get("url") == _MAX_VALUE_SET]
    if limits:
        merged["extension"] = _extensions(limits, said.get("extension", ()))
    return merged
