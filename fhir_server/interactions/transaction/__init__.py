"""The FHIR transaction interaction: all entries of a Bundle, or none."""

from fhir_server.interactions.transaction.interaction import transaction
from fhir_server.interactions.transaction.replay import replay

__all__ = ["replay", "transaction"]
