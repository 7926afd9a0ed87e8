"""Index rows that say whose a resource is: from the table of patient links, under codes that no client can ask for.

What a caller may see is decided by them in every query, so they do not depend on the search parameters of R4, which
leave some types out, and no custom parameter can touch them.
"""

from collections.abc import Mapping

from fhir_server.definitions import Definitions
from fhir_server.search.parameter import Parameter

LINK = "~patient"
"""References to the patients that a resource is about, or in which they take part."""

VIA = "~via"
"""References to what the resource belongs to, whose own patients are its patients."""

_URL = "urn:fhir-server:patient-link:"


def link_parameters(facts: Definitions) -> Mapping[str, Mapping[str, Parameter]]:
    """Return the parameters of each type that can reach a patient, by type and code.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    return {type_: table for type_ in facts.resource_types if (table := _of_type(type_, facts))}


def _of_type(type_: str, facts: Definitions) -> dict[str, Parameter]:
    links = facts.patient_links.get(type_, ())
    direct = [f"{type_}.{link.expression}.where(resolve() is Patient)" for link in links if link.via is None]
    through = [f"{type_}.{link.expression}" for link in links if link.via is not None]
    return {
        code: Parameter(code, "reference", f"{_URL}{type_}{code}", type_, " | ".join(expressions))
        for code, expressions in ((LINK, direct), (VIA, through))
        if expressions
    }
