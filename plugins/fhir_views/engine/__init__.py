"""The engine of SQL on FHIR views: a ViewDefinition compiled once, from resources to rows; it knows no server.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html
"""

from fhir_views.engine.columns import Column
from fhir_views.engine.faults import Fault, RowError, TooManyRows, ViewError
from fhir_views.engine.limits import DEFAULT_LIMITS, ViewLimits
from fhir_views.engine.selects import Row
from fhir_views.engine.view import View, compile_view

__all__ = [
    "DEFAULT_LIMITS", "Column", "Fault", "Row", "RowError", "TooManyRows", "View", "ViewError", "ViewLimits",
    "compile_view",
]  # fmt: skip
