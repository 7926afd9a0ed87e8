"""Which resources belong to a patient, as predicates on the index rows of patient links.

The predicates are made for `storage`: one look-up for most types, a chain of one step where a resource belongs to
something that belongs to the patient (a Provenance to its target).
"""

from collections.abc import Collection

from fhir_server.definitions import Definitions
from fhir_server.search.parameters_links import LINK, VIA
from fhir_server.search.query import NOTHING, Chain, Ids, Node, Or, Reference, ReferenceValue


def of_patients(type_: str, patients: Collection[str], facts: Definitions) -> Node:
    """Return the predicate for resources of a type that belong to one of these patients (logical ids).

    Types that reach no patient belong to nobody.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    parts = [*_direct(type_, patients, facts), *_through(type_, patients, facts)]
    return parts[0] if len(parts) == 1 else Or(tuple(parts)) if parts else NOTHING


def reaches_patients(type_: str, facts: Definitions) -> bool:
    """Tell whether resources of a type can belong to a patient."""
    return type_ == "Patient" or bool(facts.patient_links.get(type_))


def _direct(type_: str, patients: Collection[str], facts: Definitions) -> list[Node]:
    own: list[Node] = [Ids(tuple(patients))] if type_ == "Patient" else []
    links = facts.patient_links.get(type_, ())
    if any(link.via is None for link in links):
        own.append(_refers(LINK, patients))
    return own


def _through(type_: str, patients: Collection[str], facts: Definitions) -> list[Node]:
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


def _refers(param: str, patients: Collection[str]) -> Reference:
    return Reference(param, tuple(ReferenceValue("Patient", id_) for id_ in patients), ("Patient",))
