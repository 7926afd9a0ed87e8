"""The hooks of the plugin."""

from importlib.resources import files
from typing import Any

from fhir_ai.conformance import code_systems
from fhir_ai.operations.maternal import maternal_assess
from fhir_ai.operations.risk import risk_assess
from fhir_ai.operations.triage import triage
from fhir_server.plugin_api import Operation, OperationFacts, decode, facts_of, hookimpl


@hookimpl
def register_operations() -> list[Operation]:
    """Add triage, risk and the assessment of pregnancies."""
    return [
        Operation(_own("triage"), triage, "Acuity by NEWS2 bands, red flags and maternal criteria, each rule named."),
        Operation(_own("maternal-assess"), maternal_assess, "Maternal warning criteria, with an alert if one is met."),
        Operation(_own("risk-assess"), risk_assess, "Published scores of a patient, and why the others do not hold."),
    ]


@hookimpl
def register_conformance() -> list[dict[str, Any]]:
    """Add the code systems of outputs."""
    return code_systems()


def _own(name: str) -> OperationFacts:
    return facts_of(decode(files("fhir_ai.operations").joinpath(f"{name}.json").read_bytes()))
