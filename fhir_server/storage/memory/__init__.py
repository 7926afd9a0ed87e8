"""The reference engine: everything in plain lists and dicts, written to be obviously right. Tests compare with it."""

from fhir_server.storage.memory.provider import MemoryProvider
from fhir_server.storage.memory.store import MemoryStore

__all__ = ["MemoryProvider", "MemoryStore"]
