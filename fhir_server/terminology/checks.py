"""What a check of a code says: the answer of the terminology service to validation, search and `$validate-code`."""

from dataclasses import dataclass

from fhir_server.errors import FhirError
from fhir_server.terminology.code_system import Json
from fhir_server.terminology.displays import Displays, displays_of
from fhir_server.terminology.languages import ANY, read_languages
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


def check(scope: Scope, value_set: str | None, asked: Asked, display: str | None, language: str) -> CodeCheck:
    """Check a code, and its display where there is one; it never raises."""
    try:
        found, listed = _in_value_set(scope, value_set, asked) if value_set else (_in_system(scope, asked), None)
        held = scope.exact(asked.system, asked.version) if asked.system else None
    except FhirError as error:
        return CodeCheck(None, value_set or asked.system or "", message=str(error))
    concept = held.concept(asked.code) if held is not None and found.result is not False else None
    if held is None or concept is None:
        return found
    right = ""
    # What a grammar makes has no display that anybody publishes.
    if display and not held.header.compositional:
        displays = displays_of(concept, held.header.language, listed)
        if not _is_right(displays, display, held.header.url):
            right = displays.best(read_languages(language) or ANY)
    if not right and not concept.inactive:
        return found
    message = f"the display of {asked.system}#{asked.code} is {right!r}, not {(display or '')[:200]!r}"
    return CodeCheck(found.result, found.missing, right, message if right else found.message, concept.inactive)


def _in_system(scope: Scope, asked: Asked) -> CodeCheck:
    held = scope.exact(asked.system or "", asked.version)
    if held is not None and held.concept(asked.code) is not None:
        return _RIGHT
    if held is not None and held.header.content == "complete":
        return CodeCheck(False, message=f"the code {_named(asked)} is not in the code system {asked.system!r}"[:500])
    missing = f"{asked.system}|{asked.version}" if asked.version and held is None else asked.system or ""
    if impossible(asked.system or "", asked.code):
        return CodeCheck(False, missing, message=f"the code {_named(asked)} cannot be one of its system")
    return CodeCheck(None, missing, message=_not_loaded(scope, missing, asked.code))


def _in_value_set(scope: Scope, value_set: str, asked: Asked) -> tuple[CodeCheck, Json | None]:
    """Return the verdict, and the concept as the value set lists it."""
    composition = scope.value_set(value_set)
    if composition is None:
        return CodeCheck(None, value_set, message=_not_loaded(scope, value_set, asked.code)), None
    answer = Membership(scope, lists_decide=True).find(composition, asked)
    match = next((each for each in answer.matches if not each.unsure and not each.refused), None)
    if match is not None:
        return _RIGHT, match.listed
    missing = next((each.url for each in answer.matches if each.unsure), "") or answer.missing
    if missing and not impossible(asked.system or "", asked.code):
        return CodeCheck(None, missing, message=_not_loaded(scope, missing, asked.code)), None
    return CodeCheck(False, message=f"the code {_named(asked)} is not in the value set {value_set!r}"[:500]), None


def _not_loaded(scope: Scope, missing: str, code: str) -> str:
    """Say that nothing can be said, and what to do about it."""
    if scope.exact(missing, "") is not None:
        return f"of {missing[:300]!r} a part is known here, in which the code {code[:100]!r} is not"
    way = advice(missing.partition("|")[0])
    text = f"{missing[:300]!r} is not loaded, so the code {code[:100]!r} is unchecked"
    return f"{text} ({way})" if way else text


def _is_right(displays: Displays, given: str, url: str) -> bool:
    """Tell whether a display is one of those that there are; case and runs of white space do not count."""
    plain = _plain(given)
    known = [_plain(each.value) for each in displays.all()]
    # R4 cut the displays of HL7 v3.
    cut = url.startswith(_V3) and any(len(each) == _CUT_AT and plain.startswith(each) for each in known)
    return not known or plain in known or cut


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _named(asked: Asked) -> str:
    return repr(f"{asked.system}#{asked.code}"[:300]) if asked.system else repr(asked.code[:100])
