"""The R4 facts (types, search parameters, compartments, operations, codes, patient links), read from `profiles/`."""

from fhir_server.definitions.definitions import Definitions
from fhir_server.definitions.loader import load, locate
from fhir_server.definitions.model import (
    Binding,
    Element,
    ElementType,
    Invariant,
    OperationFacts,
    OperationParameter,
    PatientLink,
    SearchParameterDefinition,
    TypeDefinition,
)

__all__ = [
    "Binding",
    "Definitions",
    "Element",
    "ElementType",
    "Invariant",
    "OperationFacts",
    "OperationParameter",
    "PatientLink",
    "SearchParameterDefinition",
    "TypeDefinition",
    "load",
    "locate",
]
