"""Patients that are one person: `$match` finds them, `$merge` makes one record of two, `$unmerge` undoes that."""

from fhir_match.settings import MatchSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_match",
    version="1.0.0",
    module="fhir_match.plugin",
    summary="Finds patients that are one person, with explained scores; merges records and undoes it.",
    hooks=("register_collections", "register_operations", "register_search_parameters", "register_services"),
    settings=MatchSettings,
    provides=("patient-matcher",),
)
