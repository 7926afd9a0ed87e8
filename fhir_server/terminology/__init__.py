"""The terminology service: value sets and code systems of the store and of R4, as search asks for them."""

from fhir_server.terminology.library import TERMINOLOGY_TYPES, Library, load_library
from fhir_server.terminology.service import Terminology

__all__ = ["TERMINOLOGY_TYPES", "Library", "Terminology", "load_library"]
