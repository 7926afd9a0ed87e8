"""Masking by role: which elements the users of a role do not see, and what stands in their place.

A rule is FHIRPath that begins with a type of resource. What it finds is taken out, or another value stands there; the
narrative of the resource goes with it, and `meta.security` says so. An element that must be there is replaced by the
data-absent-reason `masked`. Somebody with several roles sees what one of them may see.

Spec: https://hl7.org/fhir/R4/security-labels.html, https://hl7.org/fhir/R4/extension-data-absent-reason.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import MASKS
from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Expression, FhirPathError, compile_expression
from fhir_server.storage.base import RecordChange

RULES: Final = "rules"
"""The key of the record."""
OTHERS: Final = "*"
"""Stands for callers without any role, such as services."""
_OWN: Final = frozenset(("resourceType", "id", "meta"))
_PATH: Final = re.compile(r"[A-Z][A-Za-z]+(?:\.[a-z][A-Za-z]*(?!\w*\())+")
Json = dict[str, Any]


class BadMask(ValueError):
    """A rule that cannot be followed; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is hidden, and the JSON that stands in its place; None: nothing."""

    path: str
    replacement: Any = None

    @property
    def type(self) -> str:
        """The type of resource that it is about."""
        return self.path.partition(".")[0]

    @property
    def prefix(self) -> tuple[str, ...]:
        """The elements that it leads through, as far as they stand in the path as names."""
        found = _PATH.match(self.path)
        return tuple(found[0].split(".")) if found else (self.type,)

    def covers(self, other: "Rule") -> bool:
        """Tell whether whatever the other hides is hidden by this one too."""
        plain = ".".join(self.prefix) == self.path
        return self.path == other.path or (plain and other.prefix[: len(self.prefix)] == self.prefix)

    def as_json(self) -> Json:
        """Return it as administrators write it."""
        return {"path": self.path} | ({"with": self.replacement} if self.replacement is not None else {})


def read_rules(items: Sequence[Any], facts: Definitions) -> tuple[Rule, ...]:
    """Read `[{"path": ..., "with": ...}]` and try each. Raises BadMask."""
    return tuple(_read(number, item, facts) for number, item in enumerate(items))


def _read(number: int, item: Any, facts: Definitions) -> Rule:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str) or item.keys() - {"path", "with"}:
        raise BadMask(f"rule {number} is an object with `path`, and may have `with`")
    rule = Rule(item["path"].strip(), item.get("with"))
    if rule.type not in facts.resource_types or rule.type == "AuditEvent":
        raise BadMask(f"rule {number}: a path begins with a type of resource (not AuditEvent), as in Patient.telecom")
    if len(rule.prefix) < 2 or rule.prefix[1] in _OWN:
        raise BadMask(f"rule {number}: {rule.path[:80]!r} names no element that can be hidden")
    try:
        compiled(rule.path).check(rule.type)
    except FhirPathError as error:
        raise BadMask(f"rule {number}: {error}") from None
    return rule


async def masks_of(desk: Desk, facts: Definitions) -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules in force, by role."""
    record = await desk.get(MASKS.name, RULES)
    stored: Any = record.value["roles"] if record else {}
    return {role: read_rules(rules, facts) for role, rules in stored.items()}


async def save_masks(desk: Desk, role: str, rules: Sequence[Rule]) -> None:
    """Put the rules of a role in the place of those before; none: the role hides nothing any more."""
    record = await desk.get(MASKS.name, RULES)
    stored: Any = dict(record.value["roles"]) if record else {}  # type: ignore[call-overload]
    stored.pop(role, None)
    if rules:
        stored[role] = [rule.as_json() for rule in rules]
    await desk.put(RecordChange(MASKS.name, RULES, {"roles": stored}, expected=record.revision if record else 0))


@lru_cache(1_000)
def compiled(path: str) -> Expression:
    """Return the path of a rule as an expression, compiled once."""
    return compile_expression(path)


def of_roles(table: Mapping[str, Sequence[Rule]], roles: Iterable[str]) -> tuple[Rule, ...]:
    """Return what holds for somebody with these roles: what each of them hides."""
    each = [table.get(role, ()) for role in roles] or [table.get(OTHERS, ())]
    candidates = dict.fromkeys(rule for rules in each for rule in rules)
    return tuple(rule for rule in candidates if all(any(own.covers(rule) for own in rules) for rules in each))
