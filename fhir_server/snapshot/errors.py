"""A differential that no snapshot can be made of."""

from fhir_server.errors import InvalidResource


class SnapshotError(InvalidResource):
    """Says which element of which profile is at fault, or which canonical is missing."""
