"""The compiled profiles of one library, and what is asked of them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fhir_server.errors import FhirError
from fhir_server.snapshot import structure
from fhir_server.validation.findings import Enough, Findings
from fhir_server.validation.place import Place
from fhir_server.validation.profiles.budget import spend, tell
from fhir_server.validation.profiles.compiler import Compiler
from fhir_server.validation.profiles.elements import Json, read_tree
from fhir_server.validation.profiles.facts import CORE
from fhir_server.validation.profiles.profile import Profile
from fhir_server.validation.profiles.rule import SpotCheck
from fhir_server.validation.profiles.spot import Member, Spot, member_of, resource_type, spot_at
from fhir_server.validation.profiles.types import is_kind_of
from fhir_server.validation.run import Knowledge, Run

_KEPT = "profiles"
_STEPS_OF_TRIAL = 20


class Profiles:
    """The profiles of one library; safe to share between threads."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.definitions = knowledge.definitions
        self._library = knowledge.library
        self._found: dict[str, Profile] = {}
        self._troubles: dict[str, str] = {}
        self._members: dict[tuple[str, str], Member | None] = {}

    def find(self, canonical: str) -> Profile | None:
        """Return the profile of a URL, maybe with `|version`; None where it is not known or has no snapshot."""
        found = self._found.get(canonical)
        if found is None and canonical not in self._troubles:
            # What nobody knows is not kept: resources may name any number of URLs.
            found = self._make(canonical)
            if found is not None:
                found = self._found.setdefault(canonical, found)
        return found

    def _make(self, canonical: str) -> Profile | None:
        if "#" in canonical:
            return self._part(*canonical.split("#", 1))
        definition = self._structure(canonical) or self._structure(self._version_like(canonical))
        if definition is None:
            return None
        snapshot = definition.get("snapshot")
        elements = snapshot.get("element") if isinstance(snapshot, dict) else None
        tree = read_tree(elements) if isinstance(elements, list) else None
        type_ = definition.get("type")
        if tree is None or not isinstance(type_, str):
            return None
        url, version = str(definition.get("url") or canonical), definition.get("version")
        label = f"{url}|{version}" if version else url
        entry = self._library.find("StructureDefinition", f"{url}|{version}" if version else url)
        compiler = Compiler(tree, label, type_, self, entry.source if entry else "")
        required = tuple(each.label for each in tree.all() if each.definition.get("mustSupport") is True)
        return Profile(url, label, type_, definition, tree, compiler, must_support=required)

    def pin(self, type_: str, canonical: str, source: str) -> str:
        """Return a canonical with the version that a package has of it, where it has one and none is named."""
        if "|" in canonical or canonical.startswith(CORE):
            return canonical
        url, mark, element = canonical.partition("#")
        entry = self._library.find(type_, url, source=source)
        pinned = entry is not None and entry.source == source and entry.version
        return f"{url}|{pinned}{mark}{element}" if pinned else canonical

    def _structure(self, canonical: str) -> Json | None:
        try:
            return structure(self._library, canonical) if canonical else None
        except FhirError as error:
            self._troubles[canonical] = str(error)
            return None

    def _version_like(self, canonical: str) -> str:
        """`url|4.0` stands for the latest 4.0.x."""
        url, _, version = canonical.partition("|")
        for entry in self._library.versions("StructureDefinition", url) if version else ():
            if entry.version.startswith(version + "."):
                return f"{url}|{entry.version}"
        return ""

    def _part(self, canonical: str, element: str) -> Profile | None:
        """One element of a profile, as if it were a profile on its type."""
        whole = self.find(canonical)
        tree = whole.compiler.element(element) if whole else None
        if whole is None or tree is None:
            return None
        return Profile(whole.url, f"{whole.label}#{element}", "", whole.definition, tree, whole.compiler)

    def type_of(self, canonical: str) -> str:
        """Return the type that a profile is on, `canonical` being its URL or the name of a type; empty if unknown."""
        name = canonical.removeprefix(CORE)
        if name in self.definitions.types:
            return name
        profile = self.find(canonical)
        return profile.type if profile else ""

    def member(self, type_: str, name: str) -> Member | None:
        """Return how an element of a type is read; None where it has no such element."""
        key = type_, name
        if key not in self._members:
            definition = self.definitions.types.get(type_)
            elements = definition.elements if definition else ()
            found = next((e for e in elements if e.name == name), definition and definition.by_name.get(name))
            if len(self._members) > 10_000:
                self._members.clear()
            self._members[key] = member_of(found, self.definitions) if found else None
        return self._members[key]

    # --- checks

    def check(self, spot: Spot, canonical: str, run: Run) -> None:
        """Note what is wrong with an element as the profile sees it; once for each element and profile."""
        if not self._is_core(canonical):
            profile = self.find(canonical)
            if profile is None:
                run.unchecked(spot, "not-found", f"{self.why_not(canonical)}: it has not been checked")
                return
            key = id(spot.value), profile.label
            if spot.value is None or key not in run.done:
                run.done.add(key)
                self._apply(profile, spot, run)
            return
        self._check_kind(spot, canonical.removeprefix(CORE), canonical, run)

    def check_type(self, spot: Spot, canonical: str, run: Run) -> None:
        """As `check`, for the profile on the type of an element; who holds unknown extensions for errors, holds this
        for one too.
        """
        if self.knows(canonical):
            self.check(spot, canonical, run)
        else:
            self.tell_unknown(spot, canonical, run)

    def tell_unknown(self, spot: Spot, canonical: str, run: Run) -> None:
        """Note that a profile that another one names cannot be checked."""
        if run.unknown_extensions == "error":
            run.error(spot, "structure", f"Unknown profile {canonical}: {self.why_not(canonical)}")
        else:
            run.unchecked(spot, "not-found", f"{self.why_not(canonical)}: it has not been checked")

    def knows(self, canonical: str) -> bool:
        """Whether a profile can be checked."""
        return self._is_core(canonical) or self.find(canonical) is not None

    def why_not(self, canonical: str) -> str:
        """Say why a profile cannot be checked."""
        return self._troubles.get(canonical) or f"the profile {canonical[:200]} is not known here"

    def _is_core(self, canonical: str) -> bool:
        return canonical.startswith(CORE) and canonical[len(CORE) :] in self.definitions.types

    def _check_kind(self, spot: Spot, name: str, label: str, run: Run) -> bool:
        if not spot.type or is_kind_of(spot.type, {name: None}, self.definitions):
            return True
        run.error(spot, "structure", f"The profile '{label}' is on {name}, but found type {spot.type}")
        return False

    def _apply(self, profile: Profile, spot: Spot, run: Run) -> None:
        if profile.type in self.definitions.types and not self._check_kind(spot, profile.type, profile.label, run):
            return
        try:
            for check in profile.checks():
                check(spot, run)
        except RecursionError:
            run.warn(spot, "too-costly", f"The profile {profile.label} is nested too deeply to be checked")
        self._tell_notes(profile, spot, run)
        for imposed in profile.imposed:
            self.check(spot, imposed, run)
        tell(run)

    def _tell_notes(self, profile: Profile, spot: Spot, run: Run) -> None:
        key = "profiles.notes", profile.label
        if profile.compiler.notes and key not in run.memo and not run.findings.errors_only:
            run.memo[key] = True
            for note in dict.fromkeys(profile.compiler.notes):
                run.warn(spot, "not-supported", f"In the profile {profile.label} {note}")

    # --- trials

    def conforms(self, spot: Spot, canonical: str, run: Run) -> bool:
        """Whether an element conforms to a profile. What is asked for again while it is tried counts as conforming."""
        key = "profiles.conforms", id(spot.value), canonical
        if key in run.memo:
            return run.memo[key][1] is not False
        # The value is kept too, so that its id stays its own.
        run.memo[key] = spot.value, None
        holds = self._holds(lambda trial: self.check(spot, canonical, trial), run)
        run.memo[key] = spot.value, holds
        return holds

    def conforms_value(self, value: Any, canonical: str, run: Run) -> bool | None:
        """As `conforms`, for a resource or element whose place is not known; None where there is no such profile."""
        if self._is_core(canonical) or self.find(canonical) is None:
            return None
        type_ = resource_type(value)
        return self.conforms(Spot(None, type_ or "element", -1, value, type_), canonical, run)

    def passes(self, checks: Sequence[SpotCheck], spot: Spot, run: Run) -> bool:
        """Whether checks find no error."""

        def attempt(trial: Run) -> None:
            for check in checks:
                check(spot, trial)

        return self._holds(attempt, run)

    def _holds(self, attempt: Callable[[Run], None], run: Run) -> bool:
        """Whether an attempt ends without an error; it ends with the first one."""
        if not spend(run, _STEPS_OF_TRIAL):
            return True
        try:
            attempt(replace(run, findings=Findings(0, errors_only=True), done=set()))
        except Enough:
            return False
        return True

    def first_fault(self, spot: Spot, canonical: str, run: Run) -> str:
        """Return the first error that checking an element finds; empty where there is none."""
        findings = Findings(1, errors_only=True)
        with suppress(Enough):
            self.check(spot, canonical, replace(run, findings=findings, done=set()))
        return (
            f"{', '.join(findings.issues[0].expression)}: {findings.issues[0].diagnostics}" if findings.issues else ""
        )


def profiles_of(knowledge: Knowledge) -> Profiles:
    """Return the compiled profiles of a library."""
    found: Profiles | None = knowledge.kept.get(_KEPT)
    if found is None:
        found = knowledge.kept[_KEPT] = Profiles(knowledge)
    return found


def check(value: Any, profile: str, place: Place, run: Run) -> None:
    """Note what is wrong with a JSON object, a resource or an element, as a profile sees it.

    Only what the profile says beyond its base type is checked. `profile` is its canonical URL, maybe with `|version`;
    one that is not known is a warning that names it.

    Spec: https://hl7.org/fhir/R4/profiling.html
    """
    profiles_of(run.knowledge).check(spot_of(value, place, run), profile, run)


def known(profile: str, run: Run) -> bool:
    """Whether a profile can be checked."""
    return profiles_of(run.knowledge).knows(profile)


def why_not(profile: str, run: Run) -> str:
    """Say why a profile that is not `known` cannot be checked: nobody has it, or its snapshot cannot be made."""
    return profiles_of(run.knowledge).why_not(profile)


def must_support(profile: str, knowledge: Knowledge) -> tuple[str, ...]:
    """Return the paths of the elements that a profile marks as must-support; empty where it is not known."""
    found = profiles_of(knowledge).find(profile)
    return found.must_support if found else ()


def spot_of(value: Any, place: Place, run: Run) -> Spot:
    """Return the spot of a value that somebody else walked to."""
    if type_ := resource_type(value):
        return Spot(place.above, place.name, place.index, value, type_)
    found = spot_at(place, run)
    return Spot(place.above, place.name, place.index, value, found.type)
