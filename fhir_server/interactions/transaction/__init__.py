"""The FHIR transaction interaction: all entries of a Bundle, or none."""

from fhir_server.interactions.transaction.interaction import transaction

__all__ = ["transaction"]
