"""The three patch languages of FHIR R4, each a function from a resource and a patch to a new resource."""

from fhir_server.interactions.patching.apply import make_apply_patch

__all__ = ["make_apply_patch"]
