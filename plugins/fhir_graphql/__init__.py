"""GraphQL over FHIR: `$graphql` at the system and at an instance.

Spec: https://hl7.org/fhir/R4/graphql.html
"""

from fhir_graphql.settings import GraphqlSettings
from fhir_server.plugin_api import Manifest

MANIFEST = Manifest(
    name="fhir_graphql",
    version="1.0.0",
    module="fhir_graphql.plugin",
    summary="$graphql: queries, connections, references both ways, directives, mutations, introspection.",
    hooks=("register_operations",),
    settings=GraphqlSettings,
    packages=("graphql-core>=3.3",),
    extra="fhir-server[graphql]",
)
