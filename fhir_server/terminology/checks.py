"""What a check of a code says: the answer of the terminology service to validation, search and `$validate-code`."""

from dataclasses import dataclass

from fhir_server.errors import FhirError
from fhir_server.terminology.code_system import CodeSystem, Concept
from fhir_server.terminology.membership import Asked, Membership
from fhir_server.terminology.scope import Scope
from fhir_server.terminology.systems import advice
from fhir_server.terminology.systems.shapes import impossible


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """The verdict on one code.

    Attributes:
        result: whether the code is right; None where that cannot be told here.
        missing: the canonical URL of the code system or value set that would have to be loaded to tell.
        display: the right display, where the one given is wrong (`result` speaks of the code alone).
        message: what is wrong, for people; empty where nothing is.
        inactive: the code is right, but not to be used any more.
    """

    result: bool | None
    missing: str = ""
    display: str = ""
    message: str = ""
    inactive: bool = False


_RIGHT = CodeCheck(True)
_V3 = "http://terminology.hl7.org/CodeSystem/v3-"
_CUT_AT = 50


def check(scope: Scope, value_set: str | None, system: str | None, code: str, version: str) -> CodeCheck:
    """Check a code without its display."""
    try:
        missing, found = _held(scope, value_set, Asked(system, code, version))
    except FhirError as error:
        return CodeCheck(None, value_set or system or "", message=str(error))
    if found:
        return _RIGHT
    if missing and not impossible(system or "", code):
        return CodeCheck(None, missing, message=_not_loaded(scope, missing, code))
    if missing and value_set is None:
        return CodeCheck(False, missing, message=f"the code {_named(system, code)} cannot be one of its system")
    whole = f"the value set {value_set[:300]!r}" if value_set else f"the code system {(system or '')[:300]!r}"
    return CodeCheck(False, message=f"the code {_named(system, code)} is not in {whole}")


def _held(scope: Scope, value_set: str | None, asked: Asked) -> tuple[str, bool]:
    """Return what is missing to tell, and whether the code was found."""
    if value_set is None:
        held = scope.exact(asked.system or "", asked.version)
        if held is None:
            return (f"{asked.system}|{asked.version}" if asked.version else asked.system or ""), False
        whole = held.header.content == "complete"
        return "" if whole else held.header.url, held.concept(asked.code) is not None
    composition = scope.value_set(value_set)
    if composition is None:
        return value_set, False
    answer = Membership(scope, lists_decide=True).find(composition, asked)
    sure = [each for each in answer.matches if not each.unsure and not each.refused]
    unsure = next((each.url for each in answer.matches if each.unsure), "")
    return unsure or answer.missing, bool(sure)


def _not_loaded(scope: Scope, missing: str, code: str) -> str:
    """Say that nothing can be said, and what to do about it."""
    if scope.exact(missing, "") is not None:
        return f"of {missing[:300]!r} a part is known here, in which the code {code[:100]!r} is not"
    way = advice(missing.partition("|")[0])
    text = f"{missing[:300]!r} is not loaded, so the code {code[:100]!r} is unchecked"
    return f"{text} ({way})" if way else text


def with_concept(found: CodeCheck, system: CodeSystem, code: str, display: str | None, language: str) -> CodeCheck:
    """Return the check with what the concept says of its display and its life."""
    concept = system.concept(code)
    if concept is None or found.result is False:
        return found
    right = "" if display is None else wrong_display(concept, display, language)
    if right and _cut(system.header.url, right, display or ""):
        right = ""
    if not right and not concept.inactive:
        return found
    message = f"the display of {_named(system.header.url, code)} is {right!r}, not {(display or '')[:200]!r}"
    return CodeCheck(found.result, found.missing, right, message if right else found.message, concept.inactive)


def wrong_display(concept: Concept, display: str, language: str = "") -> str:
    """Return the right display where the given one is none of the concept's; else an empty text.

    Case and runs of white space do not count.
    """
    given = _plain(display)
    if given == _plain(concept.display) or any(_plain(each.value) == given for each in concept.designations):
        return ""
    of_language = (each.value for each in concept.designations if language and each.language == language)
    return next(of_language, concept.display)


def _cut(url: str, known: str, display: str) -> bool:
    """Tell whether the display that is known is the start of the given one, cut where R4 cut those of HL7 v3."""
    return len(known) == _CUT_AT and url.startswith(_V3) and _plain(display).startswith(_plain(known))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _named(system: str | None, code: str) -> str:
    return repr(f"{system}#{code}"[:300]) if system else repr(code[:100])
