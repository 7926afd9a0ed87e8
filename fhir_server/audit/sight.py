"""What of the audit a caller may see.

Auditors and administrators see all of it; who is bound to a patient sees what was done with that patient's data,
without the other patients of the same event; everybody else what they did themselves. Consents hide no event from
auditors and administrators: who opened the record of a patient who opted out is what they are there to see.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from fhir_server.audit.render import TYPE
from fhir_server.context import Caller, Context
from fhir_server.search.parameters_links import LINK
from fhir_server.search.query import EVERYTHING, NOTHING, And, Node, Reference, ReferenceValue, Visibility

_ROLES = frozenset(("admin", "auditor"))


@dataclass(frozen=True, slots=True)
class Sight:
    """A predicate to be joined to every search, None where all may be seen, and the patients who are shown."""

    predicate: Node | None
    patients: Collection[str] | None


def sight_of(ctx: Context) -> Sight:
    """Return what the caller may see."""
    caller = ctx.caller
    if sees_all(caller):
        return Sight(None, None)
    bound = bound_to(caller)
    if bound:  # one reference, which the log can look up; it covers what a patient did themselves
        values = tuple(ReferenceValue("Patient", id_) for id_ in bound)
        return Sight(Reference(LINK, values, ("Patient",)), frozenset(bound))
    type_, _, id_ = caller.subject.partition("/")
    own = Reference("agent", (ReferenceValue(type_, id_),), (type_,)) if id_ else NOTHING
    return Sight(own, frozenset())


def visible_to(ctx: Context) -> Visibility:
    """Return what the caller's scopes let them see, and Consents too for all who do not see the whole audit."""
    whole = ctx.restriction.visibility
    if not sees_all(ctx.caller):
        return whole
    return replace(whole, by_type={TYPE: _past_consent(whole.of(TYPE), ctx.restriction.permitted(TYPE))})


def _past_consent(node: Node, limit: Node) -> Node:
    """Return what is left of a predicate without the part that Consents and labels ask for."""
    if NOTHING in (node, limit):
        return node
    if node == limit:
        return EVERYTHING
    return node.nodes[0] if isinstance(node, And) and len(node.nodes) == 2 and node.nodes[1] == limit else node


def sees_all(caller: Caller) -> bool:
    """Tell whether somebody may see the whole audit."""
    return caller.admin or not _ROLES.isdisjoint(caller.roles)


def bound_to(caller: Caller) -> tuple[str, ...]:
    """Return the patients to whom a caller is bound: the one of the launch, and who they are."""
    type_, _, id_ = caller.subject.partition("/")
    own = (id_,) if type_ == "Patient" and id_ else ()
    return tuple(dict.fromkeys((*caller.patients, *own)))
