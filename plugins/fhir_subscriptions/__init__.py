"""Subscriptions: R4's own and those on topics, by REST, WebSocket, mail and message."""

from fhir_server.plugin_api import Manifest
from fhir_subscriptions.settings import SubscriptionSettings

MANIFEST = Manifest(
    name="fhir_subscriptions",
    version="1.0.0",
    module="fhir_subscriptions.plugin",
    summary="Subscriptions: R4 criteria and topics (R5 backport), by rest-hook, websocket, e-mail and message.",
    hooks=(
        "amend_capabilities", "register_background", "register_collections", "register_consumers",
        "register_operations", "register_resource_types", "register_routes", "register_search_parameters",
        "register_write_checks",
    ),
    settings=SubscriptionSettings,
    scopes=("system/Subscription.rus", "system/SubscriptionTopic.rs"),
    sends="What subscribers asked for and may see, to the endpoints of their subscriptions.",
    past_consent=True,
)  # fmt: skip
