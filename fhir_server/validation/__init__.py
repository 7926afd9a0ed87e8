"""Validation of resources against the R4 definitions."""

from fhir_server.validation.validator import Validator, structure_validator

__all__ = ["Validator", "structure_validator"]
