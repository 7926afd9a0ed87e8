"""Rules on values that R4 gives in words alone: absolute URIs, identifiers that are URIs, UUIDs in lower case.

A write is not refused for them, so they are not even looked for where nobody reads anything but what refuses it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.definitions import Element, ElementType, TypeDefinition
from fhir_server.validation.place import Place
from fhir_server.validation.run import Check, Run
from fhir_server.validation.structure.primitives import shorten

URI_SYSTEM = "urn:ietf:rfc:3986"
_ADDRESSES = ("Device.url", "DeviceDefinition.url", "Extension.url")  # every other `url` of a type is its name
_SYSTEMS = ("http:", "https:", "urn:", "ldap:")
_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_absolute = re.compile(r"[a-z][a-z0-9+.\-]*:\S+").fullmatch
Fault = Callable[[Any], str]


def in_words(fault: Fault) -> Check:
    """Return the check of a rule in words: `fault` says what is wrong with a value, or nothing."""

    def check(value: Any, place: Place, run: Run) -> None:
        text = fault(value)
        if text:
            run.in_words(place, "invalid", text)

    return check


def of_element(element: Element, of: ElementType | None) -> Iterator[Check]:
    """Yield the checks of the values of an element."""
    code = of.code if of else ""
    if code == "canonical":
        yield in_words(canonical_fault)
        yield _contained_canonical
    elif code == "uri" and element.name == "url" and element.path.count(".") == 1 and element.path not in _ADDRESSES:
        yield in_words(identity_fault)
    if code == "Reference" and of and of.targets and "Resource" not in of.targets:
        yield in_words(_type_fault(of.targets))
    if code in ("uri", "url", "canonical"):
        yield in_words(uri_fault)
    if code == "CodeableConcept" and element.binding and element.binding.strength == "required":
        yield in_words(_without_codes(element.binding.value_set))


def without_values(definition: TypeDefinition) -> Iterator[Check]:
    """Yield the check of the codes of a type that have to be of a value set: an extension is none.

    Spec: https://hl7.org/fhir/R4/terminologies.html#required
    """
    bound = {one.name: one.binding.value_set for one in definition.elements if one.binding and _must_be_code(one)}
    if not bound:
        return

    def check(value: Any, place: Place, run: Run) -> None:
        for name, value_set in bound.items():
            if f"_{name}" in value and name not in value:
                run.in_words(Place(place, name), "code-invalid", f"a code of {value_set} is required, not an extension")

    yield check


def _must_be_code(element: Element) -> bool:
    binding = element.binding
    is_code = [of.code for of in element.types] == ["code"]
    return is_code and element.max == 1 and binding is not None and binding.strength == "required"


def _contained_canonical(value: Any, place: Place, run: Run) -> None:
    """What a canonical of the form `#id` names is in the resource. Spec: https://hl7.org/fhir/R4/references.html#contained"""
    if type(value) is not str or not value.startswith("#") or len(value) == 1:
        return
    owner = run.container or run.resource
    inner = owner.get("contained")
    if not any(type(one) is dict and one.get("id") == value[1:] for one in (inner if type(inner) is list else ())):
        run.in_words(place, "not-found", f"no contained resource has the id {shorten(value[1:])}")


def _type_fault(targets: tuple[str, ...]) -> Fault:
    """Spec: https://hl7.org/fhir/R4/references-definitions.html#Reference.type"""

    def fault(value: Any) -> str:
        named = value.get("type") if type(value) is dict else None
        if type(named) is not str or ":" not in named:
            return ""  # names of resources are looked at by the structure; URLs are for logical models
        return f"the type is {shorten(named)}; expected {' or '.join(targets)}"

    return fault


def _without_codes(value_set: str) -> Fault:
    def fault(value: Any) -> str:
        if type(value) is not dict or "coding" in value or "text" in value:
            return ""
        return f"there is no code, and a code of {value_set} is required"

    return fault


def is_absolute(uri: str) -> bool:
    """Tell whether a URI has a scheme and something behind it. Spec: https://www.rfc-editor.org/rfc/rfc3986#section-4.3"""
    return _absolute(uri) is not None


def canonical_fault(value: Any) -> str:
    """A canonical URL is absolute, or `#` and the id of a contained resource.

    Spec: https://hl7.org/fhir/R4/datatypes.html#canonical
    """
    if type(value) is not str or value.startswith("#") or is_absolute(value):
        return ""
    return f"a canonical URL must be absolute, not {shorten(value)}"


def identity_fault(value: Any) -> str:
    """The URL by which a conformance resource is known is absolute.

    Spec: https://hl7.org/fhir/R4/resource.html#canonical
    """
    if type(value) is not str or is_absolute(value):
        return ""
    return f"the URL must be absolute, not {shorten(value)}"


def uri_fault(value: Any) -> str:
    """OIDs and UUIDs are written as URNs, UUIDs in lower case. Spec: https://hl7.org/fhir/R4/datatypes.html#uri"""
    if type(value) is not str or value.startswith("http"):
        return ""
    if value.startswith(("oid:", "uuid:")):
        return f"an OID or a UUID is written as a URN: urn:{shorten(value)[1:-1]}"
    name = value.partition("#")[0].partition("|")[0] if value.startswith("urn:uuid:") else ""
    if name and not _uuid(name.lower()):
        return f"{shorten(value)} is not a UUID: expected urn:uuid: and 8-4-4-4-12 hex digits"
    if value.startswith("urn:oid:") and not _oid(value):
        return f"{shorten(value)} is not an OID: expected urn:oid: and numbers with dots"
    return f"a UUID is written in lower case, not {shorten(name)}" if name != name.lower() else ""


def identifier_fault(value: Any) -> str:
    """The system of an identifier is absolute, and where it says that values are URIs, they are.

    Spec: https://hl7.org/fhir/R4/datatypes.html#Identifier
    """
    if type(value) is not dict:
        return ""
    system, given = value.get("system"), value.get("value")
    if type(system) is not str:
        return ""
    if not system.startswith(_SYSTEMS):
        return f"the system of an identifier must be an absolute URI, not {shorten(system)}"
    if system == URI_SYSTEM and type(given) is str and ":" not in given:
        return f"with the system {URI_SYSTEM} the value is a URI, which {shorten(given)} is not"
    return ""
