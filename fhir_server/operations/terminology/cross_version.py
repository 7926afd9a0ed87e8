"""Expansions with what R5 added, as R4 has it: extensions.

Spec: https://hl7.org/fhir/versions.html#extensions
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_CROSS = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
_DEFINED = f"{_CROSS}ValueSet.expansion.property"
_HELD = f"{_CROSS}ValueSet.expansion.contains.property"


def as_r4(value_set: Json) -> Json:
    """Return an expanded value set with the properties of its codes in extensions."""
    expansion = value_set.get("expansion")
    if not isinstance(expansion, dict):
        return value_set
    made = _lowered(expansion, _DEFINED)
    return {**value_set, "expansion": _below(made)}


def _below(holder: Json) -> Json:
    items = holder.get("contains")
    return {**holder, "contains": [_below(_lowered(item, _HELD)) for item in items]} if items else holder


def _lowered(holder: Json, url: str) -> Json:
    """Turn the member `property` into extensions."""
    if "property" not in holder:
        return holder
    added = [{"url": url, "extension": _parts(each)} for each in holder["property"]]
    rest = {name: value for name, value in holder.items() if name not in ("property", "extension")}
    return {"extension": [*holder.get("extension", ()), *added], **rest}


def _parts(item: Json) -> list[Json]:
    return [
        {"url": "value", name: value}
        if name.startswith("value")
        else {"url": name, "valueUri" if name == "uri" else "valueCode": value}
        for name, value in item.items()
    ]
