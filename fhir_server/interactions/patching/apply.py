"""One door to the patch languages."""

from collections.abc import Callable
from typing import Any, Literal

from fhir_server.definitions import Definitions
from fhir_server.interactions.patching.fhirpath_patch import fhirpath_patch
from fhir_server.interactions.patching.json_patch import json_patch
from fhir_server.interactions.patching.merge_patch import merge_patch
from fhir_server.interactions.patching.xml_patch import xml_patch
from fhir_server.model.json import decode, encode

Resource = dict[str, Any]
Convert = Callable[[bytes, Definitions], bytes]


def make_apply_patch(to_xml: Convert, to_json: Convert) -> Callable[..., Resource]:
    """Return `apply_patch(kind, resource, patch_body, definitions)`; XML Patch works on what `to_xml` makes.

    The function leaves `resource` as it is and returns a new one. It raises BadRequest for a patch that cannot be
    read and InvalidResource for one that cannot be applied.
    """

    def apply_patch(
        kind: Literal["json", "fhirpath", "xml", "merge"],
        resource: Resource,
        patch_body: bytes | Resource,
        definitions: Definitions,
    ) -> Resource:
        if kind == "fhirpath":
            assert isinstance(patch_body, dict)
            return fhirpath_patch(resource, patch_body, definitions)
        if kind == "merge":
            assert isinstance(patch_body, dict)
            return merge_patch(resource, patch_body)
        assert isinstance(patch_body, bytes)
        if kind == "json":
            return json_patch(resource, patch_body)
        patched = xml_patch(to_xml(encode(resource), definitions), patch_body)
        result: Resource = decode(to_json(patched, definitions))
        return result

    return apply_patch
