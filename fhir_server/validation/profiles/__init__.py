"""Profiles: StructureDefinitions compiled to checks, and extensions against their definitions."""

from fhir_server.validation.profiles.registry import Profiles, check, known, must_support, profiles_of

__all__ = ["Profiles", "check", "known", "must_support", "profiles_of"]
