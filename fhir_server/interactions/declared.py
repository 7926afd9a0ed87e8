"""What the CapabilityStatement says of types that R4 has not, and of what installed guides ask of servers.

Spec: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

# What guides ask of servers that this one meets once they are installed; a test compares them.
_MET = {"hl7.fhir.us.core": "http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server"}
# A resource type that R4 has not cannot stand in rest.resource: the binding of its type is a required one, and clients
# that hold it to that could not read the statement.
_ADDITIONAL = "http://fhir-server.org/StructureDefinition/additional-type"


def additional(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is served of a type that R4 has not, in an extension of `rest`."""
    facts: list[dict[str, Any]] = [
        {"url": "type", "valueCode": resource["type"]},
        {"url": "profile", "valueCanonical": resource["profile"]},
        *({"url": "interaction", "valueCode": each["code"]} for each in resource["interaction"]),
    ]
    for name, second, value in (("searchParam", "type", "valueCode"), ("operation", "definition", "valueCanonical")):
        for each in resource.get(name, ()):
            both = [{"url": "name", "valueString": each["name"]}, {"url": second, value: each[second]}]
            facts.append({"url": name, "extension": both})
    return {"url": _ADDITIONAL, "extension": facts}


def met(guides: Iterable[str]) -> list[str]:
    """Return the CapabilityStatements of installed guides (`.../hl7.fhir.us.core|6.1.0`) that this server meets."""
    names = {guide.partition("|")[0].rpartition("/")[2] for guide in guides}
    return [url for name, url in _MET.items() if name in names]
