"""What a grant lets its holder see and do, as predicates that stand inside every query.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fhir_server.auth.links import of_patients, reaches_patients
from fhir_server.auth.scopes import Scope, Scopes
from fhir_server.definitions import Definitions
from fhir_server.search.query import EVERYTHING, NOTHING, And, Node, Or, Visibility

Narrow = Callable[[str, str], Node]
"""The predicate of a granular scope: resource type and query to tree. Raises BadRequest for what cannot be read."""

LETTERS = {
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "search-type": "s",
    "search-compartment": "s",
    "history-type": "s",
    "create": "c",
    "update": "cu",
    "patch": "u",
    "delete": "d",
}
"""What an interaction on one type asks of a scope: any of these letters."""

_OF_THE_SYSTEM = frozenset(
    ("capabilities", "batch", "transaction", "search-system", "history-system", "job-status", "job-cancel")
)
"""Interactions that are about no type; each entry, or each type, is asked for by itself."""


@dataclass(frozen=True)
class Reach:
    """What was granted to whom.

    Attributes:
        patients: logical ids of those whom `patient/` scopes are about: the one of the launch.
        represented: those whom the user may see because they are the user, or represented by them; None for staff,
            whose `user/` scopes are not bound to patients.
    """

    scopes: Scopes
    patients: tuple[str, ...] = ()
    represented: tuple[str, ...] | None = None


class Granted:
    """The Restriction of one grant.

    Args:
        shared: types without any link to patients that everybody may read within their scopes.
    """

    def __init__(self, reach: Reach, facts: Definitions, shared: Collection[str], narrow: Narrow) -> None:
        self._reach = reach
        self._facts = facts
        self._shared = frozenset(shared)
        self._narrow = narrow

    @cached_property
    def visibility(self) -> Visibility:
        """What may be read, by type; nothing by default."""
        by_type = {type_: self._predicate("rs", type_) for type_ in self._facts.resource_types}
        return Visibility(NOTHING, {type_: node for type_, node in by_type.items() if node != NOTHING})

    def may(self, interaction: str, type_: str | None) -> bool:
        """Tell whether the interaction is allowed on some resources of the type."""
        if interaction in _OF_THE_SYSTEM or type_ is None:
            return bool(self._reach.scopes.resources) or interaction == "capabilities"
        granted = self._reach.scopes.letters(type_)
        if interaction == "operation":
            return bool(granted)
        return not granted.isdisjoint(LETTERS.get(interaction, ""))

    def writable(self, letter: Literal["c", "u", "d"], type_: str) -> Node:
        """Return what must hold of a resource that is created (`c`), updated (`u`, before and after) or deleted."""
        return self._predicate(letter, type_)

    def _predicate(self, letters: str, type_: str) -> Node:
        """Any of the scopes that allow one of the letters."""
        scopes = [s for s in self._reach.scopes.resources if any(s.allows(letter, type_) for letter in letters)]
        nodes = list(dict.fromkeys(self._of(scope, type_, letters) for scope in scopes))
        if EVERYTHING in nodes:
            return EVERYTHING
        nodes = [node for node in nodes if node != NOTHING]
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def _of(self, scope: Scope, type_: str, letters: str) -> Node:
        whose = self._whose(scope, type_, letters)
        if not scope.query or whose == NOTHING:
            return whose
        narrowed = self._narrow(type_, scope.query)
        return narrowed if whose == EVERYTHING else And((whose, narrowed))

    def _whose(self, scope: Scope, type_: str, letters: str) -> Node:
        patients = self._reach.patients if scope.level == "patient" else self._reach.represented
        if scope.level == "system" or (scope.level == "user" and patients is None):
            return EVERYTHING
        if not reaches_patients(type_, self._facts):
            return EVERYTHING if letters == "rs" and type_ in self._shared else NOTHING
        return of_patients(type_, patients or (), self._facts) if patients else NOTHING
