"""Rules on contained resources that look at more than one object.

Spec: https://hl7.org/fhir/R4/references.html#contained
"""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

# Narratives show images that are contained.
_link = re.compile(r"""\s(?:src|href)=["'](#[^"']+)["']""").findall
_NOT_IN_CONTAINED = (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5"))


def member_faults(resource: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with one contained resource as such: issue code, path below it, text."""
    if "id" not in resource:
        yield "required", "id", "a contained resource must have an id"
    if "contained" in resource:
        yield "structure", "contained", "a contained resource cannot contain resources (dom-2)"
    for name, rule in _NOT_IN_CONTAINED if isinstance(resource.get("meta"), dict) else ():
        if name in resource["meta"]:
            yield "invariant", f"meta.{name}", f"a contained resource must not have meta.{name} ({rule})"


def list_faults(root: Mapping[str, Any], used: Set[str] = frozenset()) -> Iterator[tuple[str, int, str]]:
    """What is wrong with the contained resources together: issue code, index, text.

    `used` are references already met in the resource; when they do, it need not be searched for others.
    """
    items = root.get("contained")
    if not isinstance(items, list):
        return
    seen: set[str] = set()
    local: Set[str] | None = None
    for index, item in enumerate(items):
        identity = item.get("id") if isinstance(item, dict) else None
        if not isinstance(identity, str):
            continue
        if identity in seen:
            yield "duplicate", index, "two contained resources have this id"
        elif f"#{identity}" not in used:
            local = set(_local_references(root)) if local is None else local
            if f"#{identity}" not in local and "#" not in _local_references(item):
                yield "invariant", index, "nothing refers to this contained resource (dom-3)"
        seen.add(identity)


def _local_references(value: object) -> Iterator[str]:
    """Every string below that starts with #: references, the URIs and canonicals that dom-3 counts too, and links."""
    open_: list[object] = [value]
    while open_:
        value = open_.pop()
        if isinstance(value, dict):
            open_.extend(value.values())
        elif isinstance(value, list):
            open_.extend(value)
        elif isinstance(value, str) and value.startswith(("#", "<div")):
            yield from [value] if value[0] == "#" else _link(value)
