"""FHIRPath 2.0 with the R4 type model, compiled to closures and evaluated on plain JSON."""

from fhir_server.fhirpath.context import Options, Services
from fhir_server.fhirpath.errors import FhirPathError, LimitExceeded, Position
from fhir_server.fhirpath.expression import Expression, compile_expression, evaluate
from fhir_server.fhirpath.limits import DEFAULT_LIMITS, Limits
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.types import TypeModel, default_model, model_of
from fhir_server.fhirpath.values import system as system_value

__all__ = [
    "DEFAULT_LIMITS",
    "Expression",
    "FhirPathError",
    "LimitExceeded",
    "Limits",
    "Node",
    "Options",
    "Position",
    "Services",
    "TypeModel",
    "compile_expression",
    "default_model",
    "evaluate",
    "model_of",
    "parse",
    "system_value",
]
