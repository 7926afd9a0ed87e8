"""What a resource refers to, for the check that it exists."""

import re
from collections.abc import Iterator

from fhir_server.model.keys import ResourceKey

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?(?:#.*)?", re.ASCII)


def targets(resource: object, key: ResourceKey) -> tuple[ResourceKey, ...]:
    """Return the resources of this server that the resource refers to, itself left out.

    Only relative references count: what an absolute URL means depends on who asks.

    Spec: https://hl7.org/fhir/R4/references.html#literal
    """
    found = {ResourceKey(*match.groups()) for match in map(_RELATIVE.fullmatch, _references(resource)) if match}
    return tuple(sorted(found - {key}))


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield reference
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)
