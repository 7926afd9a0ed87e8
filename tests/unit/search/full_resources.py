"""Resources with a value in every element, made from the definitions: what no collection of examples covers."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

from fhir_server import definitions
from fhir_server.definitions import Element, ElementType

_DEPTH = 5
_VARIANTS = 16
_VALUES = {
    "boolean": (True, False),
    "decimal": (Decimal("1.50"), Decimal("-3"), 7),
    "integer": (3, -1),
    "positiveInt": (4,),
    "unsignedInt": (0, 5),
    "date": ("2013-01", "2013", "2013-01-14"),
    "dateTime": ("2013-01-14T10:00:00+02:00", "2013"),
    "instant": ("2013-01-14T10:00:00.123Z",),
    "time": ("10:00:00",),
    "base64Binary": ("AAAA",),
    "canonical": ("http://example.org/x|1.0", "http://example.org/y", "#inner"),
}


def full_resources(type_: str) -> Iterator[dict[str, Any]]:
    """Yield variants of a resource, the same ones every time: in the first half of them every element is there and
    every reference relative, in the second half a fifth is missing and references take all forms."""
    for seed in range(_VARIANTS):
        yield {"resourceType": type_, **_Maker(seed).object(type_, 0)}


class _Maker:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = Random(seed)
        self._codes: Counter[str] = Counter()

    def object(self, type_: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for element in definitions.load().types[type_].elements:
            if depth < _DEPTH and element.name not in ("extension", "modifierExtension", "contained"):
                names = list(element.json_names.items())
                key, of = names[(self._seed + depth) % len(names)]
                values = [self._value(element, of, depth + 1) for _ in range(2 if element.max != 1 else 1)]
                if values[0] is not None and (self._seed < _VARIANTS // 2 or self._random.random() < 0.8):
                    made[key] = values if element.max != 1 else values[0]
        return made

    def _value(self, element: Element, of: ElementType | None, depth: int) -> Any:
        type_ = element.type_key or (of.code if of else "")
        definition = definitions.load().types.get(type_)
        if type_ == "Reference":
            return self._reference(of)
        if type_ in ("Resource", "xhtml") or definition is None:
            kind = self._random.choice(("Composition", "MessageHeader"))
            return {"resourceType": kind, "id": "inner"} if type_ == "Resource" else None
        if definition.kind == "primitive-type":
            return self._primitive(element, type_)
        return self.object(type_, depth) or None

    def _reference(self, of: ElementType | None) -> dict[str, Any]:
        targets = (of.targets if of else ()) or ("Patient", "Group", "Location")
        target = targets[self._seed % len(targets)]
        literal = f"{target}/1"
        if self._seed >= _VARIANTS // 2:
            others = f"{literal}/_history/2", f"http://elsewhere.org/fhir/{literal}", "urn:uuid:1", "#inner"
            literal = self._random.choice(others)
        identifier = {"system": "http://example.org/ids", "value": "7"}
        return self._random.choice(({"reference": literal}, {"reference": literal, "identifier": identifier}))

    def _primitive(self, element: Element, type_: str) -> Any:
        if type_ == "code" and element.binding:
            known = sorted(definitions.load().required_codes.get(element.binding.value_set, {"any": ""}))
            self._codes[element.path] += 1
            return known[(2 * self._seed + self._codes[element.path]) % len(known)]
        return self._random.choice(_VALUES.get(type_, (f"{element.name} 1", f"{element.name} 2")))
