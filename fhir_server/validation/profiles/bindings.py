"""Value sets that a profile binds an element to.

Spec: https://hl7.org/fhir/R4/terminologies.html#strength and
https://hl7.org/fhir/extensions/StructureDefinition-additional-binding.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.validation.profiles.elements import Json, objects
from fhir_server.validation.profiles.facts import CORE, Facts, binding_facts
from fhir_server.validation.profiles.invariants import codes_of
from fhir_server.validation.profiles.rule import Rule, SpotCheck
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.run import Run

_ADDITIONAL = frozenset(
    (
        "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
        "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
    )
)
_MAXIMUM = CORE + "elementdefinition-maxValueSet"
_MINIMUM = CORE + "elementdefinition-minValueSet"
# R4 itself has this maximum wherever a language is asked for.
_OF_R4 = frozenset(("http://hl7.org/fhir/ValueSet/all-languages",))
# What the purpose of an additional binding means for the verdict; what is not listed says nothing about codes.
_STRENGTHS = {
    "required": "required", "maximum": "required", "extensible": "extensible", "minimum": "preferred",
    "preferred": "preferred", "current": "extensible",
}  # fmt: skip
# R4's vital signs say "required" of the units of components; HL7 has since corrected that.
_WRONG = frozenset((("Observation.component.value[x]", "http://hl7.org/fhir/ValueSet/ucum-vitals-common"),))
_CODED = frozenset(("code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "id", "markdown", "canonical"))
_SHORTEST_FIRST = ("required", "extensible", "preferred")


def binding_checks(definition: Json, base: Facts, profile: str, pin: Callable[[str, str], str]) -> Iterator[SpotCheck]:
    """Yield the checks of the binding of an element, where it is not that of its base, and of its additional ones."""
    binding = definition.get("binding")
    if not isinstance(binding, dict):
        return
    strength, value_set = binding_facts(binding)
    if (str(definition.get("path")), value_set) in _WRONG:
        strength = "extensible"
    if value_set and strength in _SHORTEST_FIRST and (strength, value_set) != base.binding:
        yield _check(strength, pin(value_set, "ValueSet"), profile, "")
    for extension in objects(binding.get("extension")):
        found = _additional(extension)
        if found and found[1].partition("|")[0] not in _OF_R4:
            yield _check(found[0], pin(found[1], "ValueSet"), profile, " specified in an additional binding")


def required_value_set(definition: Json) -> str:
    """Return the value set that codes must be of; empty where there is none."""
    binding = definition.get("binding")
    strength, value_set = binding_facts(binding) if isinstance(binding, dict) else ("", "")
    return value_set if strength == "required" else ""


def _additional(extension: Json) -> tuple[str, str] | None:
    url = str(extension.get("url"))
    if url in (_MAXIMUM, _MINIMUM):
        value_set = extension.get("valueCanonical") or extension.get("valueUri")
        return ("required" if url == _MAXIMUM else "preferred", str(value_set)) if value_set else None
    if url not in _ADDITIONAL:
        return None
    parts = {str(part.get("url")): part for part in objects(extension.get("extension"))}
    if "usage" in parts:
        return None  # it holds in some contexts of use only, of which nothing is known here
    strength = _STRENGTHS.get(str(parts.get("purpose", {}).get("valueCode")))
    value_set = parts.get("valueSet", {}).get("valueCanonical")
    return (strength, str(value_set)) if strength and value_set else None


def _check(strength: str, value_set: str, profile: str, addition: str) -> SpotCheck:
    what = f"the value set {value_set}{addition} (from {profile})"

    def check(spot: Spot, run: Run) -> None:
        if spot.type in _CODED:
            _judge(spot, run, strength, value_set, what)

    def good(value: Any, type_: str, run: Run) -> bool:
        terms = run.knowledge.terms
        return type_ not in _CODED or any(terms.check(value_set, *code).result for code in codes_of(value))

    return Rule(check, good)


def _judge(spot: Spot, run: Run, strength: str, value_set: str, what: str) -> None:
    codes = codes_of(spot.value)
    if not codes:
        _no_code(spot, run, strength, what)
        return
    faults: list[str] = []
    for system, code in codes:
        found = run.knowledge.terms.check(value_set, system, code)
        if found.result:
            return
        if found.result is None:
            # That a code's own system is not known is told of the code wherever it stands.
            if not system or found.missing.partition("|")[0] != system:
                _unknown(spot, run, value_set, found.missing)
            return
        faults.append(f"{system or ''}#{code}")
    _not_in(spot, run, strength, what, ", ".join(faults))


def _no_code(spot: Spot, run: Run, strength: str, what: str) -> None:
    if spot.value is None or spot.type == "Quantity" or strength == "preferred":
        return
    if strength == "required" and not _absent(spot.value):
        run.error(spot, "code-invalid", f"No code is given, and a code is required from {what}")
    elif strength == "extensible" and not (isinstance(spot.value, dict) and spot.value.get("text")):
        run.warn(spot, "code-invalid", f"No code is given, and a code should be from {what}")


def _absent(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.get("extension")) and "coding" not in value


def _not_in(spot: Spot, run: Run, strength: str, what: str, codes: str) -> None:
    if strength == "required":
        run.error(spot, "code-invalid", f"A code is required from {what}; found {codes}")
    elif strength == "extensible":
        run.warn(spot, "code-invalid", f"A code should be from {what} unless it has no suitable one; found {codes}")
    else:
        run.inform(spot, "code-invalid", f"A code is recommended to be from {what}; found {codes}")


def _unknown(spot: Spot, run: Run, value_set: str, missing: str) -> None:
    """Told once for each element and what is missing: many rules may ask for the same."""
    what = missing or value_set
    key = "profiles.missing", spot.path(), what
    if key not in run.memo and not run.findings.errors_only:
        run.memo[key] = True
        kind = "ValueSet" if what.partition("|")[0] == value_set.partition("|")[0] else "CodeSystem"
        text = f"A definition for {kind} '{what}' could not be found, so the code cannot be checked against {value_set}"
        run.unchecked(spot, "not-found", text)
