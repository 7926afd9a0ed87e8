"""ValueSet/$validate-code and CodeSystem/$validate-code: is a code right, and if not, why.

Spec: https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from typing import TYPE_CHECKING, Any

from fhir_server.errors import BadRequest
from fhir_server.terminology.codings import CodingCheck, Setting
from fhir_server.terminology.composition import Composition, read_composition
from fhir_server.terminology.contexts import bound_value_set
from fhir_server.terminology.languages import ANY
from fhir_server.terminology.members import text
from fhir_server.terminology.membership import Membership
from fhir_server.terminology.outcomes import Finding, error, unknown_value_set
from fhir_server.terminology.requests import Common, ValidateRequest, languages_of
from fhir_server.terminology.scope import Scope
from fhir_server.terminology.statuses import status_findings

if TYPE_CHECKING:
    from fhir_server.terminology.service import Terminology


def validate_code(terminology: "Terminology", request: ValidateRequest) -> dict[str, Any]:
    """Return the Parameters that say whether a code is right.

    Raises:
        NotFound: there is no such value set, or a supplement is missing.
        BadRequest: a request or value set that makes no sense.
        TooCostly: it takes too much work to tell.
    """
    terminology = terminology.with_resources(request.common.resources)
    composition = None if request.system_url is not None else value_set_of(terminology, request.common)
    supplements = [*(composition.supplements if composition else ()), *request.common.supplements]
    scope = Scope(terminology.sources, request.common.versions, supplements)
    scope.take_supplements()
    setting = Setting(request, scope, Membership(scope), composition, languages_for(request.common, composition) or ANY)
    checks = [CodingCheck(setting, coding, _path(request, place)) for place, coding in enumerate(request.codings)]
    for check in checks:
        check.run()
    return _answer(setting, checks)


def value_set_of(terminology: "Terminology", common: Common) -> Composition:
    """Return the value set that a request is about.

    Raises:
        NotFound: there is no such value set.
        BadRequest: none is named.
    """
    if common.value_set is not None:
        return read_composition(common.value_set)
    asked = common.url or bound_value_set(terminology.library, common.context)
    if not asked:
        named = f"; the context {common.context[:200]!r} is bound to none" if common.context else ""
        raise BadRequest(f"there is no value set: give 'url', 'valueSet' or 'context'{named}")
    url, bar, _ = asked.partition("|")
    pinned = "" if bar else common.versions.value_sets.get(url, "")
    found = terminology.sources.value_set(f"{url}|{pinned}" if pinned else asked)
    if found is None:
        raise unknown_value_set(asked).raised()
    return found


def languages_for(common: Common, composition: Composition | None) -> Any:
    """Return the languages that are asked for: by the request, else by the value set; None where none are."""
    if common.languages is not None or composition is None:
        return common.languages
    said = composition.parameters.get("displayLanguage") or text(composition.resource, "language")
    return languages_of(said)


def _path(request: ValidateRequest, place: int) -> str:
    return f"{request.path}.coding[{place}]" if request.path == "CodeableConcept" else request.path


def _answer(setting: Setting, checks: list[CodingCheck]) -> dict[str, Any]:
    findings = [finding for check in checks for finding in check.findings]
    findings += _of_concept(setting, checks)
    if setting.composition is not None:
        findings += status_findings(setting.composition, setting.members.seen.values())
    findings = list(dict.fromkeys(findings))
    best = next((check for check in checks if check.found), checks[0] if len(checks) == 1 else None)
    right = not any(each.severity == "error" for each in findings) and any(check.found for check in checks)
    out: list[dict[str, Any]] = [{"name": "result", "valueBoolean": right}]
    if best is not None:
        out += best.parts(whole=setting.request.concept is None)
    if setting.request.concept is not None:
        out.append({"name": "codeableConcept", "valueCodeableConcept": setting.request.concept})
    for name in dict.fromkeys(name for check in checks for name in check.missing):
        out.append({"name": name[0], "valueCanonical": name[1]})
    return {"resourceType": "Parameters", "parameter": out + _told(findings)}


def _of_concept(setting: Setting, checks: list[CodingCheck]) -> list[Finding]:
    """Return what is wrong with a CodeableConcept as a whole: none of its codings is in the value set."""
    if setting.request.concept is None or setting.composition is None:
        return []
    if any(check.found for check in checks) or (checks and any(check.untold for check in checks)):
        return []
    message = f"No valid coding was found for the value set '{setting.value_set_name}'"
    return [error("code-invalid", "not-in-vs", "TX_GENERAL_CC_ERROR_MESSAGE", message)]


def _told(findings: list[Finding]) -> list[dict[str, Any]]:
    if not findings:
        return []
    told = sorted({each.text for each in findings if each.told})
    message = [{"name": "message", "valueString": "; ".join(told)}] if told else []
    issues = {"resourceType": "OperationOutcome", "issue": [each.as_json() for each in findings]}
    return [*message, {"name": "issues", "resource": issues}]
