"""Members of stored JSON by the type that FHIR gives them; what has another type counts as absent.

Resources are checked when they are written, but not where validation is switched off.
"""

from collections.abc import Mapping
from typing import Any


def text(parent: Mapping[str, Any], name: str) -> str:
    """Return a string, or "" where there is none."""
    value = parent.get(name)
    return value if isinstance(value, str) else ""


def texts(parent: Mapping[str, Any], name: str) -> list[str]:
    """Return the strings of a list."""
    value = parent.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def part(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object, or an empty one."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def parts(parent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    value = parent.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def extension(parent: Mapping[str, Any], url: str) -> Any:
    """Return the value of the first extension of a URL; None where there is none."""
    for item in parts(parent, "extension"):
        if item.get("url") == url:
            return next((value for name, value in item.items() if name.startswith("value")), None)
    return None
