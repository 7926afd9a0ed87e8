"""The Expression Constraint Language of SNOMED CT over a held code system.

Spec: https://confluence.ihtsdotools.org/display/DOCECL (version 2.2; without description templates and history).
"""

from fhir_server.terminology.systems.ecl.evaluator import evaluate
from fhir_server.terminology.systems.ecl.parser import parse

__all__ = ["evaluate", "parse"]
