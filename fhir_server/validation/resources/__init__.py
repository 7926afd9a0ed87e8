"""Rules of particular resources: what no structure, invariant, binding or profile says."""

from fhir_server.validation.resources.resource import check

__all__ = ["check"]
