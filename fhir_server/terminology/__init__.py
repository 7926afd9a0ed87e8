"""The terminology service: value sets, code systems and concept maps of a library, and the large ones beside it."""

from fhir_server.terminology.service import Terminology

__all__ = ["Terminology"]
