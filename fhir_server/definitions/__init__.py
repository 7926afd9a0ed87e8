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
from fhir_server.definitions.structures import LoadedType, WrongStructure, read_structure, with_structures

__all__ = [
    "Binding",
    "Definitions",
    "Element",
    "ElementType",
    "Invariant",
    "LoadedType",
    "OperationFacts",
    "OperationParameter",
    "PatientLink",
    "SearchParameterDefinition",
    "TypeDefinition",
    "WrongStructure",
    "load",
    "locate",
    "read_structure",
    "with_structures",
]
