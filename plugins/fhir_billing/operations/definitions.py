"""OperationDefinitions of billing, said shortly."""

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.plugin_api import OperationFacts, facts_of

BASE: Final = "http://fhir-server.org/OperationDefinition"
Part = dict[str, Any]


def part(name: str, kind: str, meaning: str, *, least: int = 0, most: str = "1") -> Part:
    """Return a parameter without its use."""
    return {"name": name, "min": least, "max": most, "type": kind, "documentation": meaning}


def parts(name: str, meaning: str, inner: Sequence[Part], *, least: int = 0, most: str = "*") -> Part:
    """Return a parameter that has parts."""
    return {"name": name, "min": least, "max": most, "documentation": meaning, "part": list(inner)}


def definition(
    code: str, on: Sequence[str], title: str, given: Sequence[Part], got: Sequence[Part], *, instance: bool = False,
    changes: bool = True,
) -> OperationFacts:  # fmt: skip
    """Return the facts of an operation: on its types, or on their instances."""
    parameters = [*[_used(each, "in") for each in given], *[_used(each, "out") for each in got]]
    return facts_of(
        {
            "resourceType": "OperationDefinition", "id": f"billing-{code}", "url": f"{BASE}/billing-{code}",
            "name": code.title().replace("-", ""), "title": title, "status": "active", "kind": "operation",
            "affectsState": changes, "code": code, "resource": list(on), "system": False, "type": not instance,
            "instance": instance, "parameter": parameters,
        }
    )  # fmt: skip


def _used(each: Part, use: str) -> Part:
    inner = {"part": [_used(one, use) for one in each["part"]]} if "part" in each else {}
    return {**each, "use": use, **inner}


MONEY: Final = "Money"
KEY: Final = part("idempotency-key", "string", "The same key gives the same result; or the header Idempotency-Key.")
