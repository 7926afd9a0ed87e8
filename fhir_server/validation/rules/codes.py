"""Codes: whether a coding means something, and whether it is of the value set that its element is bound to.

Judgements are kept, for the same codes come again and again. Only where something is wrong is a place spelled out.

Spec: https://hl7.org/fhir/R4/terminologies.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.validation.place import Place
from fhir_server.validation.resources.quantity import check as check_unit
from fhir_server.validation.resources.values import UCUM
from fhir_server.validation.rules.words import URI_SYSTEM
from fhir_server.validation.run import Knowledge, Run

# The namespace of R4 itself: not the identifiers of others' systems (sid), nor guides, whose names have more parts.
_OF_R4 = re.compile(
    r"https?://(?:www\.)?hl7\.org/fhir/(?:(?:(?:CodeSystem|StructureDefinition|R4)/)?(?!sid/|test)[^/]*|.*\.html)"
).fullmatch
_BUILD = ("http://build.fhir.org", "https://build.fhir.org")
_WELL_KNOWN = (
    "http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
)  # fmt: skip
_REMEMBERED = 20_000
_LONGEST = 300
Key = tuple[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that is wrong: `below` names the part of the coded element at which it is."""

    severity: Literal["error", "warning", "information"]
    code: str
    below: str
    text: str


Verdicts = tuple[Verdict, ...]


class Codes(dict[Key, Verdicts]):
    """Judgements on (system, code, display, version) by themselves, and on codes in value sets.

    Args:
        errors_only: nothing but errors matters.
        severity: that of unknown codes and wrong displays.
    """

    def __init__(
        self, knowledge: Knowledge, severity: Literal["warning", "error"] = "error", *, errors_only: bool = False
    ) -> None:
        super().__init__()
        self._knowledge = knowledge
        self.severity = severity
        self._errors_only = errors_only
        self._members: dict[Any, tuple[bool | None, str]] = {}

    def __missing__(self, key: Key) -> Verdicts:
        found = tuple(v for v in self._judge(*key) if v.severity == "error" or not self._errors_only)
        if all(part is None or len(part) <= _LONGEST for part in key):
            if len(self) >= _REMEMBERED:
                self.clear()
            self[key] = found
        return found

    def _judge(self, system: Any, code: Any, display: Any, version: Any) -> Iterable[Verdict]:
        if not all(part is None or type(part) is str for part in (system, code, display, version)):
            return
        if not system:
            if code:
                yield Verdict("warning", "code-invalid", "", f"the code {code[:100]!r} has no system, so no meaning")
        elif ":" not in system:
            yield Verdict("error", "code-invalid", "system", f"{system[:200]!r} must be an absolute URI")
        elif code:
            yield from self._in_system(system, code, display, version)

    def _in_system(self, system: str, code: str, display: str | None, version: str | None) -> Iterable[Verdict]:
        check = self._knowledge.terms.check(None, system, code, display=display, version=version)
        if system == URI_SYSTEM and ":" not in code:
            yield Verdict(self.severity, "code-invalid", "code", f"{code[:100]!r} is no URI, as its system has it")
        elif check.result is None:
            if self._knowledge.library.find("ValueSet", system) is not None:
                text = f"{system[:200]!r} is a value set; a coding has the URL of a code system"
                yield Verdict("error", "invalid", "system", text)
                return
            text = f"the code system {(check.missing or system)[:200]!r} is not loaded, so {code[:100]!r} is unchecked"
            yield Verdict("warning", "not-found", "system", text)
        elif not check.result:
            text = check.message or f"the code system {system[:200]!r} has no code {code[:100]!r}"
            yield Verdict(self.severity, "code-invalid", "code", text)
        elif check.display:
            yield Verdict(self.severity, "invalid", "display", check.message)
        if check.inactive:
            text = f"{system[:200]}#{code[:100]} is not to be used any more"
            yield Verdict("warning", "business-rule", "", text)

    def no_system(self, system: str) -> str:
        """Say why an unknown system cannot be one at all: R4's own are known, others have one right name."""
        if _OF_R4(system):
            return f"R4 has no code system {system[:200]!r}"
        if system.startswith(_BUILD):
            return f"{system[:200]!r} is a draft of the specification, not a code system"
        right = next((name for name in _WELL_KNOWN if system.startswith(name) and system != name), "")
        if system.startswith("https:") and self._knowledge.library.find("CodeSystem", f"http{system[5:]}"):
            right = f"http{system[5:]}"
        return f"{system[:200]!r} is no code system; should it be {right}?" if right else ""

    def is_plain_unit(self, code: str) -> bool:
        """Whether a code is one of UCUM of which there is nothing to say."""
        return "{" not in code and self.member(None, UCUM, code)[0] is True

    def member(self, value_set: str | None, system: str | None, code: str) -> tuple[bool | None, str]:
        """Whether a code is in a value set (None: in its system), and what would have to be loaded to tell."""
        key = (value_set, system, code)
        found = self._members.get(key)
        if found is None:
            check = self._knowledge.terms.check(value_set, system, code)
            found = check.result, check.missing
            if len(self._members) >= _REMEMBERED:
                self._members.clear()
            self._members[key] = found
        return found


def tell(verdicts: Verdicts, place: Place, run: Run) -> None:
    """Note verdicts on the coded element at a place."""
    for verdict in verdicts:
        where = Place(place, verdict.below) if verdict.below else place
        if verdict.severity == "error":
            run.error(where, verdict.code, verdict.text)
        elif verdict.severity == "warning":
            run.warn(where, verdict.code, verdict.text)
        else:
            run.inform(where, verdict.code, verdict.text)


def coding(value: Any, place: Place, run: Run) -> None:
    """Judge a Coding by itself."""
    if type(value) is not dict:
        return
    try:
        found = run.codes[value.get("system"), value.get("code"), value.get("display"), value.get("version")]
    except TypeError:
        return
    if not found:
        return
    tell(found, place, run)
    # Of several codings in a concept those of others' systems may be what they like.
    if place.name != "coding" and any(verdict.code == "not-found" for verdict in found):
        wrong = run.codes.no_system(value["system"])
        if wrong:
            tell((Verdict(run.codes.severity, "code-invalid", "system", wrong),), place, run)


def unit(value: Any, place: Place, run: Run) -> None:
    """Judge the code of a unit: one of UCUM has to be right, one of another system should be known there."""
    if type(value) is not dict or type(code := value.get("code")) is not str:
        return
    system = value.get("system")
    if system == UCUM:
        _ucum(value, code, place, run)
    elif type(system) is str and run.codes.member(None, system, code)[0] is False:
        text = f"the code system {system[:200]!r} has no code {code[:100]!r}"
        tell((Verdict(run.codes.severity, "code-invalid", "code", text),), place, run)


def _ucum(value: Any, code: str, place: Place, run: Run) -> None:
    if run.codes.is_plain_unit(code):
        return
    if run.codes.severity == "error":
        check_unit(value, place, run)
    elif run.codes.member(None, UCUM, code)[0] is False:
        run.warn(place, "code-invalid", f"{code[:100]!r} is not a unit of UCUM")
