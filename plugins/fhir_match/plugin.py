"""The hooks of the plugin."""

from importlib.resources import files
from typing import Any

from fhir_match.match import MatchOperation
from fhir_match.matcher import Matcher
from fhir_match.mentions import mentioned_patient
from fhir_match.merge import merge
from fhir_match.records import MERGES, MOVED
from fhir_match.settings import MatchSettings
from fhir_match.unmerge import unmerge
from fhir_server.plugin_api import Collection, Operation, OperationFacts, decode, facts_of, hookimpl, r4_operation


@hookimpl
def register_operations(settings: MatchSettings) -> list[Operation]:
    """Add `$match`, `$merge` and `$unmerge`."""
    match = MatchOperation(Matcher(settings))
    return [
        Operation(r4_operation("Patient-match"), match, "Patients who may be the one given, graded and explained."),
        Operation(_own("merge"), merge, "Make one record of two; all that refers to the source refers to the target."),
        Operation(_own("unmerge"), unmerge, "Undo a merge where nobody wrote since, and name the rest."),
    ]


@hookimpl
def register_collections() -> list[Collection]:
    """Keep what merges changed."""
    return [MERGES, MOVED]


@hookimpl
def register_search_parameters() -> list[dict[str, Any]]:
    """Find patients where R4's parameters do not look."""
    return [mentioned_patient()]


@hookimpl
def register_services(settings: MatchSettings) -> dict[str, object]:
    """Offer the matcher to other plugins."""
    return {"patient-matcher": Matcher(settings)}


def _own(name: str) -> OperationFacts:
    return facts_of(decode(files(__package__).joinpath(f"{name}.json").read_bytes()))
