"""Parameters out: checked from the OperationDefinition and written as a resource.

Spec: https://hl7.org/fhir/R4/operations.html#response
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.definitions import OperationFacts
from fhir_server.definitions.model import OperationParameter
from fhir_server.model.json import encode
from fhir_server.model.version import Version


@dataclass(frozen=True, slots=True)
class Typed:
    """A value of a type that the definition leaves open; `place` is extra JSON for the parameter (a companion)."""

    type: str
    value: Any


Pairs = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a handler gives: (name, value) in order.

    A value is the JSON of its declared type, `Typed` where that is open, pairs where it has parts; a resource is JSON
    or the bytes of it. `version` is the version that the call ended in, for ETag and the like.
    """

    values: Pairs
    status: int = 200
    version: Version | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class WrongOutput(Exception):
    """An operation that breaks its own definition: a fault of the server."""


def write(facts: OperationFacts, values: Pairs) -> bytes:
    """Return the body of an answer: the resource itself where `return` is the only output and a resource."""
    wanted = {p.name: p for p in facts.parameters if p.use == "out"}
    check(facts.code, wanted, values)
    if list(wanted) == ["return"] and _is_resource(wanted["return"]) and values:
        return _resource(values[0][1])
    parts = b",".join(_part(wanted[name], value) for name, value in values)
    return b'{"resourceType":"Parameters"' + (b',"parameter":[' + parts + b"]}" if parts else b"}")


def check(code: str, wanted: Mapping[str, OperationParameter], values: Pairs) -> None:
    """Hold names and cardinalities to the definition. Raises WrongOutput."""
    counts = Counter(name for name, _ in values)
    for name in counts:
        if name not in wanted:
            raise WrongOutput(f"${code} has no output {name!r}")
    for name, parameter in wanted.items():
        if counts[name] < parameter.min or (parameter.max is not None and counts[name] > parameter.max):
            raise WrongOutput(f"${code} gave {counts[name]} of {name!r}")


def _part(parameter: OperationParameter, value: Any) -> bytes:
    name = b'{"name":' + encode(parameter.name)
    if parameter.parts and not isinstance(value, Typed):
        known = {part.name: part for part in parameter.parts}
        check(parameter.name, known, value)
        return name + b',"part":[' + b",".join(_part(known[n], v) for n, v in value) + b"]}"
    if _is_resource(parameter):
        return name + b',"resource":' + _resource(value) + b"}"
    if isinstance(value, Typed):
        return name + _typed(value) + b"}"
    return name + _typed(Typed(parameter.type or "string", value)) + b"}"


def _typed(typed: Typed) -> bytes:
    if typed.type == "Resource":
        return b',"resource":' + _resource(typed.value)
    if typed.type == "parts":
        return b',"part":[' + b",".join(encode(part) for part in _json(typed.value)) + b"]"
    return b',"value%b":%b' % ((typed.type[:1].upper() + typed.type[1:]).encode(), encode(typed.value))


def _json(parts: Iterable[Any]) -> Iterable[Any]:
    return parts


def _resource(value: Any) -> bytes:
    return value if isinstance(value, bytes) else encode(value)


def _is_resource(parameter: OperationParameter) -> bool:
    return parameter.type is not None and (parameter.type == "Resource" or parameter.type in _resources())


def _resources() -> frozenset[str]:
    from fhir_server.definitions import load

    return frozenset(load().resource_types) | {"OperationOutcome", "Bundle", "Parameters"}
