"""The hooks of the plugin."""

from fhir_match.match import MatchOperation
from fhir_match.matcher import Matcher
from fhir_match.settings import MatchSettings
from fhir_server.plugin_api import Operation, hookimpl, r4_operation


@hookimpl
def register_operations(settings: MatchSettings) -> list[Operation]:
    """Add `$match`."""
    return [
        Operation(
            r4_operation("Patient-match"),
            MatchOperation(Matcher(settings)),
            "Patients who may be the one given, graded and explained.",
        ),
    ]


@hookimpl
def register_services(settings: MatchSettings) -> dict[str, object]:
    """Offer the matcher to other plugins."""
    return {"patient-matcher": Matcher(settings)}
