"""Bridges: changes of the record go out to Kafka, MQTT, NATS and webhooks; messages come in from the first three."""

from fhir_bridges.settings import BridgeSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_bridges",
    version="1.0.0",
    module="fhir_bridges.plugin",
    summary="Changes out to Kafka, MQTT, NATS and webhooks as CloudEvents; resources in from Kafka, MQTT and NATS.",
    hooks=(
        "on_stop", "register_background", "register_collections", "register_consumers", "register_health_checks",
        "register_scheduled_jobs",
    ),
    settings=BridgeSettings,
    scopes=("system/*.crud",),
    sends="The changes that its settings name, to the brokers and URLs that they name.",
    past_consent=True,
)  # fmt: skip
