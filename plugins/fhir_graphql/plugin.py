"""The hooks of the plugin."""

from collections.abc import Sequence

from fhir_graphql.registered import operation
from fhir_graphql.settings import GraphqlSettings
from fhir_server.plugin_api import Operation, hookimpl


@hookimpl
def register_operations(settings: GraphqlSettings) -> Sequence[Operation]:
    """Add `$graphql`."""
    return [operation()]
