"""Valid examples with one thing changed that only a profile minds."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from fhir_server.snapshot import structure
from tests.conformance.packages.run import Validated, resources_of, validator

Json = Mapping[str, Any]
_VALUE = ("fixed", "pattern")


@dataclass(frozen=True, slots=True)
class Changed:
    """A copy of an example; `kind` tells what was done to the element."""

    kind: str
    element: str
    resource: dict[str, Any]
    profile: str


def changed(validated: Validated) -> Iterator[Changed]:
    """Yield the example without each element that its profile requires and R4 does not, and with each value that the
    profile fixes replaced by another.
    """
    resource = resources_of(validated.package)[validated.name]
    for profile in validated.profiles[:1]:
        definition = structure(validator().knowledge.library, profile)
        for element in definition["snapshot"]["element"] if definition else ():
            for kind in _kinds(element):
                copy = deepcopy(dict(resource))
                if _change(copy, element["path"].split(".")[1:], kind):
                    yield Changed(kind, element["id"], copy, profile)


def _kinds(element: Json) -> Iterator[str]:
    if ":" in element["id"] or "." not in element["id"]:
        return
    if element["min"] > 0 and element["base"]["min"] == 0:
        yield "removed"
    if any(name.startswith(_VALUE) for name in element):
        yield "replaced"


def _change(resource: dict[str, Any], path: list[str], kind: str) -> bool:
    """Change the first element at a path; tell whether there was one."""
    owners = [resource]
    for step in path[:-1]:
        owners = [item for owner in owners for name in _names(owner, step) for item in _items(owner[name])]
    for owner in owners:
        for name in _names(owner, path[-1]):
            if kind == "removed":
                del owner[name]
                owner.pop(f"_{name}", None)
            else:
                owner[name] = _other(owner[name])
            return True
    return False


def _names(owner: Json, step: str) -> list[str]:
    return [name for name in owner if name == step or (step.endswith("[x]") and name.startswith(step[:-3]))]


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _other(value: Any) -> Any:
    if isinstance(value, list):
        return [_other(value[0])]
    if isinstance(value, dict):
        return {"text": "other"} if value.keys() & {"coding", "text"} else {"system": "urn:other"}
    return "other"
