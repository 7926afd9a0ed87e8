"""Which resources belong to a patient, as predicates on the index rows of patient links.

The predicates are made for `storage`: one look-up for most types, a chain of one step where a resource belongs to
something that belongs to the patient (a Provenance to its target).
"""

from collections.abc import Callable, Collection

from fhir_server.definitions import Definitions
from fhir_server.search.parameters_links import CONTENT, LINK, VIA, pointing_types
from fhir_server.search.query import (
    NOTHING,
    Among,
    And,
    Chain,
    Has,
    Ids,
    IdSet,
    Missing,
    Node,
    Or,
    Reference,
    ReferenceValue,
)

Patients = Collection[str] | IdSet
"""Logical ids: a few, by which the index is asked, or a set of any size, which each row is held against."""

CONTENTS = "Binary"
"""The type that other resources keep their content in."""


def of_patients(type_: str, patients: Patients, facts: Definitions) -> Node:
    """Return the predicate for resources of a type that belong to one of these patients (logical ids).

    Types that reach no patient belong to nobody.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    return any_of([*_direct(type_, patients, facts), *_through(type_, patients, facts)])


def pointed_to(facts: Definitions, holds: Callable[[str], Node]) -> Node:
    """Return the predicate for what has no security context of its own and is content of something that holds.

    Spec: https://hl7.org/fhir/R4/binary.html#security
    """
    sources = [(type_, holds(type_)) for type_ in pointing_types(facts)]
    has = [Has(type_, CONTENT, node) for type_, node in sources if node != NOTHING]
    return And((Missing(VIA, True), any_of(has))) if has else NOTHING


def any_of(nodes: Collection[Node]) -> Node:
    """Return the predicate that one of these holds."""
    kept = tuple(dict.fromkeys(node for node in nodes if node != NOTHING))
    return kept[0] if len(kept) == 1 else Or(kept)


def reaches_patients(type_: str, facts: Definitions) -> bool:
    """Tell whether resources of a type can belong to a patient."""
    return type_ == "Patient" or bool(facts.patient_links.get(type_))


def _direct(type_: str, patients: Patients, facts: Definitions) -> list[Node]:
    own: list[Node] = [_are(patients)] if type_ == "Patient" else []
    links = facts.patient_links.get(type_, ())
    if any(link.via is None for link in links):
        own.append(_refers(LINK, patients))
    return own


def _through(type_: str, patients: Patients, facts: Definitions) -> list[Node]:
    """Chains of one step: what belongs to something that itself belongs by way of another is nobody's."""
    via = [link.via for link in facts.patient_links.get(type_, ()) if link.via is not None]
    if not via:
        return []
    targets = facts.resource_types if "Resource" in via else tuple(dict.fromkeys(via))
    chains: list[Node] = [_refers(VIA, patients)]
    for target in targets:
        direct = [node for node in _direct(target, patients, facts) if target != "Patient"]
        chains += [Chain(VIA, target, node) for node in direct]
    return chains


def _are(patients: Patients) -> Node:
    return Among("", "Patient", patients) if isinstance(patients, IdSet) else Ids(tuple(patients))


def _refers(param: str, patients: Patients) -> Node:
    if isinstance(patients, IdSet):
        return Among(param, "Patient", patients)
    return Reference(param, tuple(ReferenceValue("Patient", id_) for id_ in patients), ("Patient",))
