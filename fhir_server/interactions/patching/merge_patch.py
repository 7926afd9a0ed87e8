"""JSON Merge Patch on the JSON form of a resource, which FHIR does not ask for and clients send. Spec: RFC 7396"""

from typing import Any


def merge_patch(resource: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return the resource with the members of the patch in place of its own; null removes one."""
    merged = dict(resource)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge_patch(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged
