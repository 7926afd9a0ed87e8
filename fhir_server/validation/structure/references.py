"""Reference.reference: which forms there are, and which type each one names.

Spec: https://hl7.org/fhir/R4/references.html#literal
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.validation.structure.primitives import shorten

_ID = r"[A-Za-z0-9.\-]{1,64}"
_REST = re.compile(rf"(?:https?://[^\s?#]+/|)([A-Z][A-Za-z0-9]+)/{_ID}(?:/_history/{_ID})?").fullmatch
# The reference validator takes any URN (also `urn:uuid:` that is none) and any scheme (health cards have `resource:0`).
_ABSOLUTE = re.compile(
    r"https?://[^\s/?#]\S*|urn:[a-zA-Z0-9][a-zA-Z0-9\-]{1,31}:\S+|(?!https?:|urn:)[a-z][a-z0-9+.\-]*:\S+"
).fullmatch
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z0-9]+)\?\S+").fullmatch
_DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"
_REMEMBERED = 8192
_LONGEST_REMEMBERED = 256

UNTYPED = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reference may resolve against: the resource it stands in, and whether that is an entry of a transaction.

    `contained` maps the ids of contained resources to their types. `used` collects the local references met so far.
    """

    root: Mapping[str, Any] = field(default_factory=dict)
    contained: Mapping[str, str] = field(default_factory=dict)
    transaction: bool = False
    used: set[str] = field(default_factory=set)


def scope_of(resource: Mapping[str, Any], transaction: bool) -> Scope:
    """The scope of a resource that is not contained in another. A transaction makes its entries part of it."""
    if resource.get("resourceType") == "Bundle":
        transaction = resource.get("type") in ("transaction", "batch")
    if "contained" not in resource:
        return _IN_TRANSACTION if transaction else _PLAIN
    items = resource["contained"]
    contained: dict[str, str] = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("id"), str) and isinstance(item.get("resourceType"), str):
            contained[item["id"]] = item["resourceType"]
    return Scope(resource, contained, transaction)


_PLAIN = Scope()
_IN_TRANSACTION = Scope(transaction=True)


class References(dict[object, str | None]):
    """Reference to the type it names: `UNTYPED` when it does not say, None when it is no reference by itself.

    A bounded memory: `references[value]` works out what it has not seen.
    """

    def __init__(self, resource_types: Iterable[str]) -> None:
        super().__init__()
        self.types = frozenset(resource_types)

    def __missing__(self, value: object) -> str | None:
        found = self.type_of(value) if isinstance(value, str) else None
        if found is not None and len(value) <= _LONGEST_REMEMBERED:  # type: ignore[arg-type]
            if len(self) >= _REMEMBERED:
                self.clear()
            self[value] = found
        return found

    def type_of(self, value: str) -> str | None:
        """The type that a literal reference names; None for local, conditional and broken ones."""
        rest = _REST(value)
        if rest and rest[1] in self.types:
            return rest[1]
        return UNTYPED if _ABSOLUTE(value) else None

    def resolve(self, value: object, scope: Scope) -> str | None:
        """As `type_of`, and also for what only its surroundings give a meaning."""
        if not isinstance(value, str):
            return None
        if value == "#":
            return str(scope.root.get("resourceType", "")) if scope.contained else None
        if value.startswith("#"):
            found = scope.contained.get(value[1:])
            if found is not None:
                scope.used.add(value)
            return found
        if scope.transaction:
            conditional = _CONDITIONAL(value)
            if conditional and conditional[1] in self.types:
                return conditional[1]
        return self[value]

    def fault(self, value: str, scope: Scope, targets: Iterable[str]) -> str:
        """Say what is wrong with a reference that does not resolve to one of `targets`."""
        found = self.resolve(value, scope)
        if found:
            return f"the reference is to {found}; expected a reference to {_listed(targets)}"
        if value.startswith("#"):
            return f"no contained resource has the id {shorten(value[1:])}"
        kind = value.partition("/")[0]
        if "/" in value and ":" not in kind and kind not in self.types:
            return f"{shorten(kind)} in {shorten(value)} is not a resource type"
        return (
            f"{shorten(value)} is not a reference: expected Type/id, an absolute URL, urn:uuid: with a UUID,"
            " or #id of a contained resource"
        )

    def named_type(self, value: object) -> str | None:
        """The resource type in a `Reference.type`, `UNTYPED` for a logical model's URL, else None.

        Spec: https://hl7.org/fhir/R4/references-definitions.html#Reference.type
        """
        if not isinstance(value, str):
            return None
        name = value.removeprefix(_DEFINITIONS)
        if name in self.types:
            return name
        return UNTYPED if _ABSOLUTE(value) and not value.startswith(_DEFINITIONS) else None


def _listed(names: Iterable[str]) -> str:
    found = sorted(name for name in names if name)
    return ", ".join(found[:-1]) + " or " + found[-1] if len(found) > 1 else "".join(found)
