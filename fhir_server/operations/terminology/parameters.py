"""The parameters that terminology operations share, beside those of their R4 definitions; and answers in Parameters.

Spec: https://hl7.org/fhir/R4/terminology-service.html, https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fhir_server.definitions import OperationFacts
from fhir_server.definitions.model import OperationParameter
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import encode
from fhir_server.operations.facts import r4

Json = Mapping[str, Any]

RESOURCES = {"tx-resource": "Resource"}
"""Resources that count for this call alone."""

VERSIONS = {
    "system-version": "canonical",
    "check-system-version": "canonical",
    "force-system-version": "canonical",
    "default-valueset-version": "canonical",
    "check-valueset-version": "canonical",
    "force-valueset-version": "canonical",
}
"""Which versions of code systems and value sets to take."""

_REPEATED = frozenset((*RESOURCES, *VERSIONS, "useSupplement", "property", "designation", "validation"))


def extended(id_: str, *more: Mapping[str, str], affects_state: bool | None = None) -> OperationFacts:
    """Return the facts of an R4 operation with more inputs: names and types."""
    facts = r4(id_, affects_state=affects_state)
    known = {parameter.name for parameter in facts.parameters if parameter.use == "in"}
    added = [parameter(name, type_) for each in more for name, type_ in each.items() if name not in known]
    return replace(facts, parameters=(*added, *facts.parameters))


def parameter(name: str, type_: str) -> OperationParameter:
    """Return an input that may be left out."""
    return OperationParameter(name, "in", 0, None if name in _REPEATED else 1, type_)


def answer(parts: Iterable[Json]) -> FhirResponse:
    """Return a Parameters resource."""
    return FhirResponse(200, (encode({"resourceType": "Parameters", "parameter": list(parts)}),))


def value(name: str, type_: str, content: Any) -> Json:
    """Return one parameter with a value."""
    return {"name": name, f"value{type_[:1].upper()}{type_[1:]}": content}


def group(name: str, *parts: Json) -> Json:
    """Return one parameter with parts."""
    return {"name": name, "part": list(parts)}
