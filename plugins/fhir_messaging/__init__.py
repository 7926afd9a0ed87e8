"""FHIR messaging (`$process-message`) and `$convert`."""

from fhir_messaging.settings import MessagingSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_messaging",
    version="1.0.0",
    module="fhir_messaging.plugin",
    summary="Processes FHIR messages, each once; converts resources between JSON, XML and NDJSON.",
    hooks=("register_collections", "register_operations", "register_scheduled_jobs", "register_services"),
    settings=MessagingSettings,
    scopes=("system/MessageDefinition.rs",),
    provides=("message-events",),
    sends="Responses to asynchronous messages, to the endpoints in `endpoints`.",
)
