"""Snapshots of StructureDefinitions: what a differential says, merged with all that it is based on."""

from fhir_server.snapshot.errors import SnapshotError
from fhir_server.snapshot.structures import snapshot, structure

__all__ = ["SnapshotError", "snapshot", "structure"]
