"""The validator: structure, the rules of R4, rules of resource types, and profiles; all findings at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.definitions import Definitions
from fhir_server.errors import Issue
from fhir_server.packages import Library
from fhir_server.terminology import Terminology
from fhir_server.validation import profiles as profile_checks
from fhir_server.validation.findings import Enough, Findings
from fhir_server.validation.place import Place
from fhir_server.validation.rules.codes import Codes
from fhir_server.validation.rules.table import rules_of
from fhir_server.validation.run import Knowledge, Resolve, Run, nothing
from fhir_server.validation.structure.validator import structure_of

Level = Literal["structure", "full"]
Severity = Literal["information", "warning", "error"]
Security = Literal["off", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one validation is to do.

    Attributes:
        profiles: canonical URLs that the resource has to conform to, beside those that it names itself.
        resolve: gives resources that are referred to.
        errors_only: nobody reads anything but errors; that is faster.
        codes: severity of a code that its system has not, and of a display that is none of its code's.
        unknown_extensions: severity of an extension whose definition is not known.
        implied: whether profiles count that R4 asks for because of a code, such as that of vital signs.
        prose: whether rules count that R4 gives in words for some types of resources, such as those of Bundles.
        security: severity of what looks like HTML in a text.
    """

    level: Level = "full"
    profiles: tuple[str, ...] = ()
    resolve: Resolve = nothing
    transaction: bool = False
    errors_only: bool = False
    codes: Literal["warning", "error"] = "error"
    unknown_extensions: Severity = "information"
    security: Security = "off"
    implied: bool = True
    prose: bool = True


class Validator:
    """Checks parsed JSON (`model.json.decode`) against definitions, a library and its terminology; safe to share
    between threads. A changed library needs a new one; what is dear to make of the definitions is shared by all.
    """

    def __init__(self, definitions: Definitions, library: Library, terms: Terminology) -> None:
        self.knowledge = Knowledge(definitions, library, terms)
        self.structure = structure_of(definitions)
        self._codes: dict[tuple[bool, str], Codes] = {}

    def check(  # the parts of `Wanted`, by name, for callers who need but one of them
        self,
        resource: object,
        type: str | None = None,
        *,
        transaction: bool = False,
        level: Level = "full",
        profiles: Iterable[str] = (),
        resolve: Resolve = nothing,
        unknown_extensions: Severity = "information",
        security: Security = "off",
    ) -> list[Issue]:
        """Every finding about a resource, each with a FHIRPath expression; empty when there is nothing to say.

        `type` is the resource type that the URL names. `transaction` is for an entry of a transaction whose conditional
        references (`Patient?identifier=x`) are not resolved yet. It never raises, whatever the JSON.

        Spec: https://hl7.org/fhir/R4/validation.html
        """
        wanted = Wanted(
            level, tuple(profiles), resolve, transaction, unknown_extensions=unknown_extensions, security=security
        )
        return self.look(resource, type, wanted).issues

    def look(self, resource: object, type: str | None, wanted: Wanted) -> Findings:
        """As `check`, and with where each finding comes from."""
        found = Findings(errors_only=wanted.errors_only)
        try:
            if not self.structure.good(resource, type, transaction=wanted.transaction):
                self.structure.collect(resource, type, found, wanted.transaction)
            too_deep = any(issue.code == "too-costly" for issue in found.issues)
            if wanted.level == "full" and isinstance(resource, dict) and not too_deep:
                self._rules(resource, found, wanted)
        except Enough:
            pass
        except RecursionError:
            found.limit("the resource is nested too deeply")
        return found

    def must_support(self, profile: str) -> tuple[str, ...]:
        """Return the paths of what a profile marks as must-support. Spec: https://hl7.org/fhir/R4/profiling.html"""
        return profile_checks.must_support(profile, self.knowledge)

    def _rules(self, resource: dict[str, Any], found: Findings, wanted: Wanted) -> None:
        rules = rules_of(self.knowledge.definitions, errors_only=wanted.errors_only)
        run = Run(self.knowledge, resource, found, wanted.resolve, wanted.transaction)
        run.unknown_extensions = wanted.unknown_extensions
        run.security, run.implied, run.prose = wanted.security, wanted.implied, wanted.prose
        run.codes = self._judged(wanted)
        name = resource.get("resourceType")
        place = Place(None, name if isinstance(name, str) else "Resource")
        rules.resource(resource, place, run)
        if wanted.profiles:
            found.origin = "profile"
            self._profiles(resource, place, run, wanted.profiles)

    def _profiles(self, resource: dict[str, Any], place: Place, run: Run, wanted: tuple[str, ...]) -> None:
        """Profiles that the caller asks for: silence would be taken for conformance, so an unknown one is an error."""
        for profile in wanted:
            if profile_checks.known(profile, run):
                profile_checks.check(resource, profile, place, run)
            else:
                text = f"nothing can be said to conform to it: {profile_checks.why_not(profile, run)}"
                run.error(place, "not-found", text)

    def _judged(self, wanted: Wanted) -> Codes:
        key = (wanted.errors_only, wanted.codes)
        found = self._codes.get(key)
        if found is None:
            found = Codes(self.knowledge, wanted.codes, errors_only=wanted.errors_only)
            found = self._codes.setdefault(key, found)
        return found
