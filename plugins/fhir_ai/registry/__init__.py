"""Registry: which versions of models there are in a tenant, which of them serve, and what each of them said."""

from fhir_ai.registry.registry import Registry
from fhir_ai.registry.serving import Answer, Serving, serving_of

__all__ = ["Answer", "Registry", "Serving", "serving_of"]
