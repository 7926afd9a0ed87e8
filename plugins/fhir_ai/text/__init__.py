"""Clinical text: what a document says of problems, medicines and measurements, with where it says it; all by rules."""

from fhir_ai.text.extracting import Mention, extract

__all__ = ["Mention", "extract"]
