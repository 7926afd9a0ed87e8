"""Bindings: whether codes are of the value set that their element draws on.

Spec: https://hl7.org/fhir/R4/terminologies.html#strength
"""

from collections.abc import Iterator
from typing import Any

from fhir_server.definitions import Binding
from fhir_server.validation.place import Place
from fhir_server.validation.run import Check, Run

_SAID = {
    "required": "a code is required from it",
    "extensible": "a code should come from it unless it has none that fits",
    "preferred": "codes of it are recommended",
}
_CODED = ("code", "Coding", "CodeableConcept", "Quantity", "uri", "string", "canonical")
Coded = tuple[str | None, str]


def binding_check(binding: Binding, type_: str, *, errors_only: bool) -> Check | None:
    """Return the check of a binding on values of a type; None where there is nothing to check."""
    if binding.strength not in _SAID or type_ not in _CODED or (errors_only and binding.strength != "required"):
        return None
    value_set, strength = binding.value_set, binding.strength

    def check(value: Any, place: Place, run: Run) -> None:
        codes = list(coded(value))
        results = [run.codes.member(value_set, system, code) for system, code in codes]
        if any(result for result, _ in results):
            return
        if not codes:
            if type(value) is dict and "text" in value and type_ == "CodeableConcept":
                _report(strength, f"there is no code; {_whole(value_set, strength)}", place, run)
        elif missing := next((missing for result, missing in results if result is None), None):
            text = f"{missing[:200]!r} is not loaded, so {_listed(codes)} cannot be checked against {value_set}"
            if strength == "required":
                run.unchecked(place, "not-found", text)
            elif missing not in [system for system, _ in codes]:  # else it is told at the coding
                run.warn(place, "not-found", text)
        elif any(result is False for result, _ in results):
            text = f"{_listed(codes)} is not in {_whole(value_set, strength)}"
            _report(strength, text, place, run)

    return check


def coded(value: Any) -> Iterator[Coded]:
    """Yield system and code of each coding in a coded value, whatever its type."""
    if type(value) is str:
        yield None, value
    elif type(value) is dict:
        codings = value.get("coding", [value])
        for item in codings if type(codings) is list else ():
            if type(item) is dict and type(code := item.get("code")) is str:
                system = item.get("system")
                yield (system if type(system) is str else None), code


def maximum_check(value_set: str) -> Check:
    """Return the check of `maxValueSet`: what is no example of the binding has to be of this set."""

    def check(value: Any, place: Place, run: Run) -> None:
        codes = list(coded(value))
        results = [run.codes.member(value_set, system, code)[0] for system, code in codes]
        if codes and not any(result is not False for result in results):
            run.error(place, "code-invalid", f"{_listed(codes)} is not in {value_set}, as every code must be here")

    return check


def _report(strength: str, text: str, place: Place, run: Run) -> None:
    if strength == "required":
        run.error(place, "code-invalid", text)
    elif strength == "extensible":
        run.warn(place, "code-invalid", text)
    else:
        run.inform(place, "code-invalid", text)


def _whole(value_set: str, strength: str) -> str:
    return f"{value_set}: {_SAID[strength]}"


def _listed(codes: list[Coded]) -> str:
    return ", ".join(f"{system}#{code}"[:150] if system else repr(code[:100]) for system, code in codes[:5])
