"""What an expansion says of how it was made: the parameters that counted, what was used, what to look at.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/requirements.html
"""

from typing import Any

from fhir_server.terminology.code_system import Header
from fhir_server.terminology.composition import Composition
from fhir_server.terminology.expansion_cache import Expanded
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.statuses import statuses

_UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"

Parameter = dict[str, Any]


def parameters_of(
    request: ExpandRequest, composition: Composition, languages: Languages | None, found: Expanded
) -> list[Parameter]:
    """Return ValueSet.expansion.parameter."""
    flags = {
        "excludeNested": request.exclude_nested,
        "includeDesignations": request.include_designations,
        "includeDefinition": request.include_definition,
        "activeOnly": request.active_only,
        "excludeNotForUI": request.exclude_not_for_ui,
        "excludePostCoordinated": request.exclude_post_coordinated,
    }
    out: list[Parameter] = [{"name": name, "valueBoolean": value} for name, value in flags.items() if value is not None]
    numbers = {"count": request.count, "offset": request.offset}
    out += [{"name": name, "valueInteger": value} for name, value in numbers.items() if value is not None]
    if languages is not None and languages.text:
        out.append({"name": "displayLanguage", "valueCode": languages.text})
    if request.filter:
        out.append({"name": "filter", "valueString": request.filter})
    out += [{"name": "designation", "valueString": each} for each in request.designations]
    out += [{"name": "exclude-system", "valueUri": each} for each in request.exclude_systems]
    out += [{"name": rule, "valueUri": canonical} for rule, canonical in found.applied]
    return out + _used(composition, found)


def unclosed(found: Expanded) -> list[dict[str, Any]]:
    """Return the extensions that say that an expansion is not whole."""
    fragments = [header for header in _systems(found) if header.content == "fragment"]
    if not fragments:
        return []
    reason = f"This extension is based on a fragment of the code system {fragments[0].url}"
    return [
        {"url": _UNCLOSED, "valueBoolean": True},
        {"url": f"{_UNCLOSED}-reason", "valueString": reason},
    ]


def _used(composition: Composition, found: Expanded) -> list[Parameter]:
    out: list[Parameter] = []
    for header in _systems(found):
        canonical = f"{header.url}|{header.version}" if header.version else header.url
        out.append({"name": "used-codesystem", "valueUri": canonical})
        if header.content in ("fragment", "example"):
            out.append({"name": f"used-{header.content}", "valueUri": canonical})
    for met, _ in found.seen.values():
        if isinstance(met, Composition):
            out.append({"name": "used-valueset", "valueUri": met.name})
    out += [{"name": "used-supplement", "valueUri": canonical} for canonical in found.supplements]
    if found.merged:
        out.append({"name": "versionsMatch", "valueBoolean": True})
    for status, _, canonical in dict.fromkeys(statuses(composition, found.seen.values())):
        out.append({"name": f"warning-{status}", "valueUri": canonical})
    return out


def _systems(found: Expanded) -> list[Header]:
    return [met for met, _ in found.seen.values() if isinstance(met, Header)]
