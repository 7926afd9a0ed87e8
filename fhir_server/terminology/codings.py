"""One coding of a $validate-code: is it in the value set, is it a code of its system, is its display right.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/requirements.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.terminology.code_system import CodeSystem, Concept, Json
from fhir_server.terminology.composition import Composition
from fhir_server.terminology.concept_findings import case_differs, concept_findings
from fhir_server.terminology.displays import displays_of, wrong
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.members import text
from fhir_server.terminology.membership import Asked, Match, Membership
from fhir_server.terminology.outcomes import Finding, error, unknown_value_set
from fhir_server.terminology.requests import ValidateRequest
from fhir_server.terminology.scope import Scope


@dataclass(frozen=True, slots=True)
class Setting:
    """What all codings of a request are checked against."""

    request: ValidateRequest
    scope: Scope
    members: Membership
    composition: Composition | None
    languages: Languages

    @property
    def value_set_name(self) -> str:
        """Return the value set for people."""
        composition = self.composition
        return "(unidentified)" if composition is None or not composition.url else composition.name


class CodingCheck:
    """Checks one coding.

    Attributes:
        found: it is in the value set, or in the system where no value set is asked about.
        untold: it cannot be told whether it is.
        missing: pairs of the parameter that names something missing, and its canonical.
    """

    def __init__(self, setting: Setting, coding: Json, path: str) -> None:
        self._setting = setting
        self._path = path
        self._url = text(coding, "system")
        self._code = text(coding, "code")
        self._version = text(coding, "version")
        self._display = text(coding, "display")
        self._system: CodeSystem | None = None
        self._concept: Concept | None = None
        self._listed: Json | None = None
        self.found = False
        self.untold = False
        self.findings: list[Finding] = []
        self.missing: list[tuple[str, str]] = []

    def run(self) -> None:
        """Check it. Raises as `validate_code`."""
        if not self._url and not self._infer():
            return
        if self._bad_system():
            return
        if self._setting.composition is None:
            self._in_system()
        else:
            self._in_value_set(self._setting.composition)
        if self._concept is not None and not self._setting.request.membership_only:
            self._check_display(self._concept)

    def parts(self, *, whole: bool) -> list[dict[str, Any]]:
        """Return the parts of the answer that tell of the code.

        Args:
            whole: tell of a code that is not found, too.
        """
        if not self.found and not whole:
            return []
        out: list[dict[str, Any]] = [{"name": "code", "valueCode": self._code}]
        out += [{"name": "system", "valueUri": self._url}] if self._url else []
        if self._system is not None and self._system.header.version:
            out.append({"name": "version", "valueString": self._system.header.version})
        concept = self._concept
        if concept is None:
            return out
        display = self._displays(concept).best(self._setting.languages)
        out += [{"name": "display", "valueString": display}] if display else []
        if concept.inactive:
            out.append({"name": "inactive", "valueBoolean": True})
            out += [{"name": "status", "valueCode": concept.status}] if concept.status else []
        if concept.code != self._code:
            out.append({"name": "normalized-code", "valueCode": concept.code})
        return out

    def _infer(self) -> bool:
        """Find the system of a code that comes without one; False where there is not just one."""
        composition = self._setting.composition
        request = self._setting.request
        if composition is None or not (request.infer_system or not self._path):
            text_ = (
                "Coding has no system. A code with no system has no defined meaning, and it cannot be validated."
                " A system should be provided"
            )
            self._add(
                Finding("warning", "invalid", "invalid-data", "Coding_has_no_system__cannot_validate", text_), "."
            )
            self._not_in()
            return False
        answer = self._setting.members.find(composition, Asked(None, self._code, self._version))
        urls = list(dict.fromkeys(each.url for each in answer.matches))
        if len(urls) == 1:
            self._url = urls[0]
            return True
        key = "UNABLE_TO_INFER_CODESYSTEM"
        text_ = (
            f"The System URI could not be determined for the code '{self._code}' in the ValueSet"
            f" '{self._setting.value_set_name}'"
        )
        if urls:
            key = "Unable_to_resolve_system__value_set_has_multiple_matches"
            text_ += f": value set expansion has multiple matches: {', '.join(urls)}"
        self._add(error("not-found", "cannot-infer", key, text_), "code")
        self._not_in()
        return False

    def _bad_system(self) -> bool:
        """Tell whether the system is no URL of a code system, and note it."""
        url, sources = self._url, self._setting.scope.sources
        if ":" not in url:
            text_ = "Coding.system must be an absolute reference, not a local reference"
            self._add(error("invalid", "invalid-data", "Terminology_TX_System_Relative", text_), "system")
            return False
        if (held := sources.resource(url)) is not None and held.header.content == "supplement":
            named = f"{url}|{held.header.version}" if held.header.version else url
            text_ = f"CodeSystem {named} is a supplement, so can't be used as a value in Coding.system"
            self._add(error("invalid", "invalid-data", "CODESYSTEM_CS_NO_SUPPLEMENT", text_), "system")
        elif not sources.versions(url) and sources.library.find("ValueSet", url) is not None:
            text_ = f"The Coding references a value set, not a code system ('{url}')"
            self._add(error("invalid", "invalid-data", "Terminology_TX_System_ValueSet2", text_), "system")
        else:
            return False
        if self._setting.composition is not None:
            self._not_in()
        return True

    def _in_system(self) -> None:
        """Check it against its system alone."""
        resolved = self._setting.scope.resolve(self._url, "", self._version)
        self._take(resolved.findings)
        self._system = resolved.system or resolved.shown
        if resolved.missing:
            self.missing.append(("x-caused-by-unknown-system", resolved.missing))
        if resolved.system is None:
            self.untold = True
            return
        self._concept = resolved.system.concept(self._code)
        self.found = self._concept is not None or resolved.system.header.content == "fragment"
        self._take(concept_findings(self._setting, Match(self._url, resolved.system, self._concept), self._code))
        if self._concept is None:
            self._unknown_code(resolved.system)

    def _in_value_set(self, composition: Composition) -> None:
        answer = self._setting.members.find(composition, Asked(self._url, self._code, self._version))
        for canonical in answer.sets:
            self.untold = True
            self._take([unknown_value_set(canonical)])
        match = self._best(answer.matches)
        if match is not None and not (answer.sets or match.refused or self._too_abstract(match)):
            self._matched(match)
            return
        if answer.systems and match is None:
            self.untold = True
            for resolved in answer.systems:
                self._take(resolved.findings)
                self._system = self._system or resolved.shown
                self.missing.append(("x-caused-by-unknown-system", resolved.missing))
            self._concept = self._system.concept(self._code) if self._system else None
            return
        if match is not None:
            self._take(concept_findings(self._setting, match, self._code))
        if not self.untold:
            self._not_in()
        self._outside()

    def _too_abstract(self, match: Match) -> bool:
        return match.concept is not None and match.concept.abstract and not self._setting.request.abstract

    def _matched(self, match: Match) -> None:
        self._system, self._concept, self._listed = match.system, match.concept, match.listed
        self._take(match.findings)
        if match.missing:
            self.missing.append(("x-caused-by-unknown-system", match.missing))
        self._take(concept_findings(self._setting, match, self._code))
        self.found = match.concept is not None or match.unsure
        if match.system is None:
            self.untold = True
            self._take([self._setting.scope.unknown(self._url, "")])
            self.missing.append(("x-caused-by-unknown-system", self._url))
        elif match.concept is None:
            self._unknown_code(match.system)

    def _best(self, matches: Sequence[Match]) -> Match | None:
        """Return the match that fits the display, else the one of the latest version."""
        if len(matches) < 2:
            return matches[0] if matches else None
        versions = list(self._setting.scope.sources.versions(self._url))

        def order(match: Match) -> tuple[bool, bool, bool, int]:
            version = match.system.header.version if match.system else ""
            place = versions.index(version) if version in versions else len(versions)
            return bool(match.findings), match.refused, not self._shows(match), place

        return min(matches, key=order)

    def _shows(self, match: Match) -> bool:
        """Tell whether the display that is given is one of a match."""
        if not self._display or match.concept is None:
            return False
        given = self._display.casefold()
        return any(each.value.casefold() == given for each in displays_of(match.concept, "", match.listed).all())

    def _outside(self) -> None:
        """Look what is to be said of a code that is not in the value set."""
        scope = self._setting.scope
        resolved = scope.resolve(self._url, "", self._version)
        self._system = resolved.system
        if resolved.system is None:
            if not self._setting.request.membership_only:
                self._take([scope.unknown(self._url, self._version, quoted=False)])
                self.missing.append(("x-unknown-system", self._url))
            return
        self._concept = resolved.system.concept(self._code)
        if self._concept is None and not self._setting.request.membership_only:
            self._unknown_code(resolved.system)

    def _unknown_code(self, system: CodeSystem) -> None:
        header = system.header
        if self._setting.request.membership_only:
            return
        named = f"in the CodeSystem '{header.url}'" + (f" version '{header.version}'" if header.version else "")
        if header.content == "fragment":
            text_ = (
                f"Unknown Code '{self._code}' {named} - note that the code system is labeled as a fragment, so the code"
                " may be valid in some other fragment"
            )
            key = "UNKNOWN_CODE_IN_FRAGMENT"
            self._add(Finding("warning", "code-invalid", "invalid-code", key, text_, told=False), "code")
            return
        key = "Unknown_Code_in_Version" if header.version else "Unknown_Code_in"
        self._add(error("code-invalid", "invalid-code", key, f"Unknown code '{self._code}' {named}"), "code")

    def _not_in(self) -> None:
        version = f"|{self._version}" if self._version else ""
        display = f" ('{self._display}')" if self._display else ""
        named = f"{self._url}{version}#{self._code}{display}"
        message = f"The provided code '{named}' was not found in the value set '{self._setting.value_set_name}'"
        key = "None_of_the_provided_codes_are_in_the_value_set_one"
        of_concept = self._setting.request.concept is not None
        severity, kind = ("information", "this-code-not-in-vs") if of_concept else ("error", "not-in-vs")
        self._add(Finding(severity, "code-invalid", kind, key, message, told=not of_concept), "code")

    def _check_display(self, concept: Concept) -> None:
        if concept.code != self._code and self._system is not None:
            self._take([case_differs(self._system, self._code, concept.code)])
        # What a grammar makes has no display that anybody publishes.
        if not self._display or (self._system is not None and self._system.header.compositional):
            return
        named = f"{self._url}#{self._code}"
        finding = wrong(self._displays(concept), self._display, named, self._setting.languages, "")
        if finding is not None and finding.severity == "error" and self._setting.request.lenient_display:
            finding = replace(finding, severity="warning")
        if finding is not None:
            self._add(finding, "display")

    def _displays(self, concept: Concept) -> Any:
        language = self._system.header.language if self._system else ""
        return displays_of(concept, language, self._listed)

    def _take(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._add(finding, finding.at)

    def _add(self, finding: Finding, at: str) -> None:
        if at == ".":
            at = ""
            place = self._path
        else:
            place = f"{self._path}.{at}" if self._path and at else at
        self.findings.append(replace(finding, at=place))
