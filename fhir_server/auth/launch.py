"""The context that an EHR launches an app with: what it may hold, and how it is checked.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from fhir_server.auth.errors import OAuthError
from fhir_server.model.keys import is_id

_LARGEST = 8_192
_TEXTS = ("intent", "smart_style_url", "tenant")
_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})", re.ASCII)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+", re.ASCII)
_BESIDE = frozenset(("Patient", "Encounter"))
"""Types that have parameters of their own; in `fhirContext` they stand in another role than that of the launch."""


def read_context(asked: Any) -> dict[str, Any]:
    """Return a launch context that holds nothing but what SMART lets it hold, and extensions in their namespaces.

    Raises:
        OAuthError: `invalid_request`; says what is wrong.
    """
    if not isinstance(asked, dict):
        raise _bad("context is not an object")
    if len(msgspec.json.encode(asked)) > _LARGEST:
        raise _bad("context is too large")
    for name, value in asked.items():
        _check(name, value)
    return asked


def references(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the resources of this server that a context names, as type and id."""
    found = [(type_, context[type_.lower()]) for type_ in ("Patient", "Encounter") if type_.lower() in context]
    for each in context.get("fhirContext", ()):
        match = _REFERENCE.fullmatch(each.get("reference", ""))
        if match:
            found.append((match[1], match[2]))
    return found


def _check(name: str, value: Any) -> None:
    if name in ("patient", "encounter"):
        if not isinstance(value, str) or not is_id(value):
            raise _bad(f"{name} is not a logical id")
    elif name == "need_patient_banner":
        if not isinstance(value, bool):
            raise _bad("need_patient_banner is not a boolean")
    elif name in _TEXTS:
        _check_text(name, value)
    elif name == "fhirContext":
        _check_items(value)
    elif not name.startswith("__") and not _ABSOLUTE.fullmatch(name):
        raise _bad(f"{name[:80]!r} is no launch context; extensions begin with __ or are full URIs")


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise _bad(f"{name} is not a string")
    if name == "smart_style_url" and not value.startswith(("https://", "http://")):
        raise _bad("smart_style_url is not an absolute URL")


def _check_items(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _bad("fhirContext is not an array of objects")
    for each in value:
        _check_item(each)


def _check_item(item: Mapping[str, Any]) -> None:
    """Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhircontext-exp"""
    if not {"reference", "canonical", "identifier"} & item.keys():
        raise _bad("an item of fhirContext needs a reference, a canonical or an identifier")
    for name in ("reference", "canonical", "type", "role"):
        if name in item and (not isinstance(item[name], str) or not item[name]):
            raise _bad(f"{name} of fhirContext is not a string")
    if not isinstance(item.get("identifier", {}), dict):
        raise _bad("identifier of fhirContext is not an object")
    reference = _REFERENCE.fullmatch(item.get("reference", "Basic/none"))
    if reference is None:
        raise _bad("reference of fhirContext is not relative, like Observation/123")
    role = item.get("role", "launch")
    if role != "launch" and not _ABSOLUTE.fullmatch(role):
        raise _bad("role of fhirContext is launch or an absolute URI")
    if role == "launch" and _BESIDE & {reference[1], item.get("type")}:
        raise _bad("Patient and Encounter stand beside fhirContext, or in it with another role")


def _bad(said: str) -> OAuthError:
    return OAuthError("invalid_request", said)
