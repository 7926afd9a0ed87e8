"""Index rows that say whose a resource is: from the table of patient links, under codes that no client can ask for.

What a caller may see is decided by them in every query, so they do not depend on the search parameters of R4, which
leave some types out, and no custom parameter can touch them.
"""

from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

from fhir_server.definitions import Definitions
from fhir_server.search.parameter import Parameter

LINK = "~patient"
"""References to the patients that a resource is about, or in which they take part."""

VIA = "~via"
"""References to what the resource belongs to, whose own patients are its patients."""

CONTENT = "~content"
"""References to the Binary resources that hold content of the resource: who may read it, may read them."""

_URL = "urn:fhir-server:patient-link:"
_DEEP = 4


def link_parameters(facts: Definitions) -> Mapping[str, Mapping[str, Parameter]]:
    """Return the parameters of each type that can reach a patient or point to content, by type and code.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    return {type_: table for type_ in facts.resource_types if (table := _of_type(type_, facts))}


_pointing: WeakKeyDictionary[Definitions, tuple[str, ...]] = WeakKeyDictionary()


def pointing_types(facts: Definitions) -> tuple[str, ...]:
    """Return the types that can point to content, found out once."""
    known = _pointing.get(facts)
    if known is None:
        known = tuple(type_ for type_, table in link_parameters(facts).items() if CONTENT in table)
        _pointing[facts] = known
    return known


def is_internal(code: str) -> bool:
    """Tell whether a code is one of these, which searches never follow by themselves."""
    return code.startswith("~")


def _of_type(type_: str, facts: Definitions) -> dict[str, Parameter]:
    links = facts.patient_links.get(type_, ())
    direct = [f"{type_}.{link.expression}.where(resolve() is Patient)" for link in links if link.via is None]
    through = [f"{type_}.{link.expression}" for link in links if link.via is not None]
    content = list(_contents(facts, type_, type_, 0))
    return {
        code: Parameter(code, "reference", f"{_URL}{type_}{code}", type_, " | ".join(expressions))
        for code, expressions in ((LINK, direct), (VIA, through), (CONTENT, content))
        if expressions
    }


def _contents(facts: Definitions, key: str, path: str, depth: int) -> Iterator[str]:
    """Yield the expressions of the URLs of attachments, and of references that may be to a Binary by definition.

    Spec: https://hl7.org/fhir/R4/binary.html#security
    """
    for element in facts.types[key].elements:
        here = f"{path}.{element.name}"
        for kind in element.types:
            typed = f"{here}.ofType({kind.code})" if element.choice else here
            if kind.code == "Attachment":
                yield f"{typed}.url"
            elif kind.code == "Reference" and "Binary" in kind.targets and path != "Binary":
                yield typed
        if element.type_key and depth < _DEEP:
            yield from _contents(facts, element.type_key, here, depth + 1)
