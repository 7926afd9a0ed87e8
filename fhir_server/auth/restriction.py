"""What a grant lets its holder see and do, as predicates that stand inside every query.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from fhir_server.auth.links import CONTENTS, any_of, of_patients, pointed_to, reaches_patients
from fhir_server.auth.mask import Mask
from fhir_server.auth.scopes import LETTERS as ALL
from fhir_server.auth.scopes import Scope, Scopes
from fhir_server.definitions import Definitions
from fhir_server.search.links import query_hash
from fhir_server.search.query import EVERYTHING, NOTHING, And, Ids, Node, Visibility

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
        holder: who holds the grant, so that two holders of equal scopes are told apart.
    """

    scopes: Scopes
    patients: tuple[str, ...] = ()
    represented: tuple[str, ...] | None = None
    holder: str = ""


class Limits(Protocol):
    """What stands in the way of everybody but the patient: consent and security labels."""

    def of(self, type_: str) -> Node:
        """Return what must hold of a resource of the type for this caller to see it."""


class Granted:
    """The Restriction of one grant.

    Args:
        shared: types without any link to patients that everybody may read within their scopes.
        limits: None where neither consent nor labels concern the caller.
    """

    mask: Mask | None = None
    """What of each resource is hidden; None for nearly all callers."""

    def __init__(
        self, reach: Reach, facts: Definitions, shared: Collection[str], narrow: Narrow, limits: Limits | None = None
    ) -> None:
        self.reach = reach
        self._facts = facts
        self._shared = frozenset(shared)
        self._narrow = narrow
        self._limits = limits
        self._last: Granted | None = None
        self._may: dict[tuple[str, str | None], bool] = {}

    def within(self, limits: Limits | None, mask: Mask | None = None) -> "Granted":
        """Return the same restriction within limits; the same one again as long as they stay the same."""
        if limits is None and mask is None:
            return self
        if self._last is None or self._last._limits is not limits or self._last.mask is not mask:
            self._last = Granted(self.reach, self._facts, self._shared, self._narrow, limits)
            self._last.mask = mask
        return self._last

    @cached_property
    def visibility(self) -> Visibility:
        """What may be searched, by type; nothing by default. What may be read by id stands apart where it differs."""
        searched, read = self._by_type("s"), self._by_type("r")
        mark = query_hash(self.reach.holder, self.reach.patients, self.reach.represented, str(self.reach.scopes))
        unasked = self.mask.unasked if self.mask is not None else {}
        if searched == read:
            return Visibility(NOTHING, searched, mark=mark, unasked=unasked)
        beside = {
            type_: any_of([searched.get(type_, NOTHING), read.get(type_, NOTHING)]) for type_ in (*searched, *read)
        }
        by_id = Visibility(NOTHING, read, mark=mark)
        return Visibility(NOTHING, searched, by_id, Visibility(NOTHING, beside), mark, unasked)

    @cached_property
    def nameable(self) -> Visibility:
        """What a reference may name, and be told whether it is there: what is seen, who it is about, what is shared."""
        by_type = {type_: self._limited(type_, self._named(type_)) for type_ in self._facts.resource_types}
        return Visibility(NOTHING, {type_: node for type_, node in by_type.items() if node != NOTHING})

    @cached_property
    def whole(self) -> bool:
        """Tell whether everything is granted, as administration asks."""
        return any(
            scope.level != "patient" and (scope.type, scope.letters, scope.query) == ("*", ALL, "")
            for scope in self.reach.scopes.resources
        )

    @property
    def bound(self) -> bool:
        """Whether all of it is about certain patients: the one of a launch, or those whom the user is or represents."""
        return bool(self.reach.patients) or self.reach.represented is not None

    def shows_all(self, type_: str) -> bool:
        """Tell whether what was granted shows each resource of a type, and all of it, but for consent and labels."""
        hidden = self.mask is not None and type_ in self.mask.rules
        return not hidden and self._scoped("s", type_) == EVERYTHING

    def may(self, interaction: str, type_: str | None) -> bool:
        """Tell whether the interaction is allowed on some resources of the type."""
        asked = interaction, type_
        known = self._may.get(asked)
        if known is None:
            known = self._may[asked] = self._allowed(interaction, type_)
        return known

    def _allowed(self, interaction: str, type_: str | None) -> bool:
        if interaction in _OF_THE_SYSTEM or type_ is None:
            return bool(self.reach.scopes.resources) or interaction == "capabilities"
        granted = self.reach.scopes.letters(type_)
        if interaction == "operation":
            return bool(granted)
        return not granted.isdisjoint(LETTERS.get(interaction, ""))

    def writable(self, letter: Literal["c", "u", "d"], type_: str) -> Node:
        """Return what must hold of a resource that is created (`c`), updated (`u`, before and after) or deleted."""
        return self._scoped(letter, type_)

    def permitted(self, type_: str) -> Node:
        """Return what consent and labels ask of a resource that is there, before it may be changed."""
        return self._limited(type_, EVERYTHING)

    def _by_type(self, letter: str) -> Mapping[str, Node]:
        by_type = {type_: self._limited(type_, self._scoped(letter, type_)) for type_ in self._facts.resource_types}
        return {type_: node for type_, node in by_type.items() if node != NOTHING}

    def _limited(self, type_: str, node: Node) -> Node:
        limit = EVERYTHING if self._limits is None or node == NOTHING else self._limits.of(type_)
        if limit == EVERYTHING:
            return node
        return limit if node == EVERYTHING else And((node, limit))

    def _scoped(self, letter: str, type_: str) -> Node:
        """Any of the scopes that allow the letter."""
        nodes = [self._of(s, type_, letter) for s in self.reach.scopes.resources if s.allows(letter, type_)]
        return EVERYTHING if EVERYTHING in nodes else any_of(nodes)

    def _of(self, scope: Scope, type_: str, letter: str) -> Node:
        whose = self._whose(scope, type_, letter)
        if not scope.query or whose == NOTHING:
            return whose
        narrowed = self._narrow(type_, scope.query)
        return narrowed if whose == EVERYTHING or narrowed == NOTHING else And((whose, narrowed))

    def _named(self, type_: str) -> Node:
        if type_ in self._shared and not reaches_patients(type_, self._facts):
            return EVERYTHING
        nodes = [self._scoped("r", type_), self._scoped("s", type_)]
        own = (*self.reach.patients, *(self.reach.represented or ()))
        if type_ == "Patient" and own:
            nodes.append(Ids(own))
        return EVERYTHING if EVERYTHING in nodes else any_of(nodes)

    def _whose(self, scope: Scope, type_: str, letter: str) -> Node:
        patients = self.reach.patients if scope.level == "patient" else self.reach.represented
        if scope.level == "system" or (scope.level == "user" and patients is None):
            return EVERYTHING
        if not reaches_patients(type_, self._facts):
            return EVERYTHING if letter in "rs" and type_ in self._shared else NOTHING
        if not patients:
            return NOTHING
        node = of_patients(type_, patients, self._facts)
        if type_ == CONTENTS and letter in "rs":
            return any_of([node, pointed_to(self._facts, lambda other: self._scoped("r", other))])
        return node
