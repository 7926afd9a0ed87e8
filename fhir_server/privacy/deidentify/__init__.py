"""De-identification by rules: what no rule keeps is left out."""

from fhir_server.privacy.deidentify.profiles import PROFILES, profile
from fhir_server.privacy.deidentify.rules import BadRules, RuleSet, read_rules
from fhir_server.privacy.deidentify.walk import Deidentifier

__all__ = ["PROFILES", "BadRules", "Deidentifier", "RuleSet", "profile", "read_rules"]
