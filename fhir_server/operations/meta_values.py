"""Meta as sets of profiles, tags and security labels: what joining and taking away mean.

Spec: https://hl7.org/fhir/R4/resource.html#Meta
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

_SETS: Mapping[str, Callable[[Any], Hashable]] = {
    "profile": lambda value: str(value),
    "security": lambda value: (value.get("system"), value.get("code")),
    "tag": lambda value: (value.get("system"), value.get("code")),
}
"""What makes two of them the same: a Coding is what its system and code say, whatever its display."""


def joined(meta: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return the meta with what it has not yet of the other."""
    result = dict(meta)
    for name, key in _SETS.items():
        items: Sequence[Any] = meta.get(name, ())
        seen = {key(item) for item in items}
        fresh = {key(item): item for item in reversed(added.get(name, ())) if key(item) not in seen}
        if fresh:
            result[name] = [*items, *reversed(fresh.values())]
    return result


def without(meta: Mapping[str, Any], removed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the meta without what the other names; an empty list goes too."""
    result = dict(meta)
    for name, key in _SETS.items():
        gone = {key(item) for item in removed.get(name, ())}
        if gone and name in meta:
            result[name] = [item for item in meta[name] if key(item) not in gone]
            if not result[name]:
                del result[name]
    return result
