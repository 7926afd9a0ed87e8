"""Profiles: StructureDefinitions compiled to checks, and extensions against their definitions."""

from fhir_server.validation.profiles.extensions import check_extension
from fhir_server.validation.profiles.registry import Profiles, check, known, must_support, profiles_of, why_not

__all__ = ["Profiles", "check", "check_extension", "known", "must_support", "profiles_of", "why_not"]
