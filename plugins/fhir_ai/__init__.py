"""Clinical AI: published scores, models with their numbers, triage and risk, each output with its sources."""

from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_ai",
    version="1.0.0",
    module="fhir_ai.plugin",
    summary="Published scores, triage, risk, models with cards, laboratory anomalies, clinical text.",
    hooks=(
        "on_start", "on_stop", "register_collections", "register_commands", "register_conformance",
        "register_consumers", "register_metrics", "register_operations", "register_scheduled_jobs", "register_scopes",
    ),
    settings=AiSettings,
    scopes=(
        "system/*.rs", "system/DetectedIssue.cu", "system/Device.c", "system/DocumentReference.c",
        "system/MeasureReport.c", "system/Provenance.c", "system/Flag.cu", "system/CommunicationRequest.cu",
        "system/GuidanceResponse.cu", "system/Task.cu",
    ),
    sends="Values of a patient without a name to the models in `remote_models`, when somebody asks; none are set up.",
    uses=("cds-services", "view-compiler"),
    extra="fhir-server[ai]",
)  # fmt: skip
