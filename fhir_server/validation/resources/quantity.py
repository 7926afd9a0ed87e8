"""Quantity: units by UCUM.

Spec: https://hl7.org/fhir/R4/datatypes.html#Quantity, https://ucum.org/ucum
"""

import re
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import UCUM
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

_annotation = re.compile(r"\{[^{}]*\}")


def check(quantity: Any, place: Place, run: Run) -> None:
    """Check the coded unit of a Quantity."""
    code = quantity.get("code") if isinstance(quantity, dict) else None
    if not isinstance(code, str) or not isinstance(quantity.get("system"), str):
        return
    found = run.knowledge.terms.check(None, quantity["system"], code)
    if found.result is False:
        run.error(
            place, "code-invalid", found.message or f"{shorten(code)} is not a unit of {quantity['system'][:200]}"
        )
    elif quantity["system"] == UCUM and _annotation.search(code):
        run.inform(place, "business-rule", f"the annotation in the unit {shorten(code)} has no meaning for computers")
