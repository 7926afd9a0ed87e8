"""Validation of resources against R4, profiles and terminology."""

from fhir_server.validation.structure.validator import StructureValidator, structure_validator
from fhir_server.validation.validator import Validator, Wanted

__all__ = ["StructureValidator", "Validator", "Wanted", "structure_validator"]
