"""Value sets and code systems of R4 itself, for stores that hold no copy of them."""

from collections.abc import Mapping
from functools import cache

from fhir_server.definitions import Definitions, load
from fhir_server.search.query import TokenValue
from fhir_server.terminology.tree import CodeTree

VERSION = "4.0.1"

# The definitions list codes without their order. These are the hierarchies among code systems of required bindings.
_BELOW: Mapping[str, Mapping[str, str]] = {
    # https://hl7.org/fhir/R4/codesystem-condition-clinical.html
    "http://terminology.hl7.org/CodeSystem/condition-clinical": {
        "active": "recurrence relapse",
        "inactive": "remission resolved",
    },
    # https://hl7.org/fhir/R4/codesystem-allergyintolerance-clinical.html
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical": {"inactive": "resolved"},
    # https://hl7.org/fhir/R4/codesystem-request-intent.html
    "http://hl7.org/fhir/request-intent": {
        "order": "original-order reflex-order filler-order",
        "filler-order": "instance-order",
    },
    # https://hl7.org/fhir/R4/codesystem-issue-type.html
    "http://hl7.org/fhir/issue-type": {
        "invalid": "structure required value invariant",
        "security": "login unknown expired forbidden suppressed",
        "processing": "not-supported duplicate multiple-matches not-found too-long code-invalid extension too-costly"
        " business-rule conflict",
        "not-found": "deleted",
        "transient": "lock-error no-store exception timeout incomplete throttled",
    },
}


def standard_value_set(canonical: str) -> Mapping[TokenValue, None] | None:
    """Return the codes of a value set of R4; where they cannot be listed (currencies), all of their system."""
    url, _, version = canonical.partition("|")
    definitions = load()
    if version not in ("", VERSION):
        return None
    if url in definitions.required_codes:
        return {TokenValue(system, code): None for code, system in definitions.required_codes[url].items()}
    system = definitions.code_systems.get(url)
    return None if system is None else {TokenValue(system, None): None}


def standard_tree(system: str) -> CodeTree | None:
    """Return what R4's value sets list of a code system: maybe not all of it."""
    url, _, version = system.partition("|")
    return _trees(load()).get(url) if version in ("", VERSION) else None


@cache
def _trees(definitions: Definitions) -> Mapping[str, CodeTree]:
    trees: dict[str, CodeTree] = {}
    for codes in definitions.required_codes.values():
        for code, system in codes.items():
            trees.setdefault(system, CodeTree(complete=False)).add(code)
    for system, below in _BELOW.items():
        for parent, children in below.items():
            for child in children.split():
                trees.setdefault(system, CodeTree(complete=False)).add(child, (parent,))
    return trees
