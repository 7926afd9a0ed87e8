"""The authorization server over HTTP: discovery, the endpoints for apps, and the pages for people."""

from fhir_server.api.auth.mounted import authorization_routes
from fhir_server.api.auth.origins import Cors, Origins
from fhir_server.api.auth.service import Service

__all__ = ["Cors", "Origins", "Service", "authorization_routes"]
