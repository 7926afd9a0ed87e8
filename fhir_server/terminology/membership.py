"""Whether a code is in a value set, by look-up: nothing is expanded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from fhir_server.terminology.code_system import CodeSystem, Concept, Header, Json
from fhir_server.terminology.composition import Composition, Part
from fhir_server.terminology.outcomes import Finding, circular, too_deep
from fhir_server.terminology.scope import Resolved, Scope

T = TypeVar("T")

_MOST_KEPT = 10_000

DEEPEST = 50
"""Value sets that may import one another in a row."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A code that is looked for; without a system, that of any system."""

    system: str | None
    code: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Where a code was found.

    Attributes:
        system: None where the value set lists a code of a system that is not here.
        listed: the concept as the value set lists it.
        unsure: the system is a part of the whole, and the code is not in it.
        refused: the code is inactive, and the value set takes active ones only.
    """

    url: str
    system: CodeSystem | None
    concept: Concept | None
    listed: Json | None = None
    findings: Sequence[Finding] = ()
    missing: str = ""
    unsure: bool = False
    refused: bool = False


@dataclass(slots=True)
class Answer:
    """Where a code was found, and what would have to be there to tell for certain."""

    matches: list[Match] = field(default_factory=list)
    systems: list[Resolved] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)

    @property
    def missing(self) -> str:
        """Return the canonical of the first thing that is missing."""
        return next((each.missing for each in self.systems), "") or next(iter(self.sets), "")

    def add(self, other: "Answer") -> None:
        """Take in another one; what came another way already counts once."""
        _merge(self.matches, other.matches)
        _merge(self.systems, other.systems)
        self.sets += [name for name in other.sets if name not in self.sets]


class Membership:
    """Looks through value sets.

    `seen` holds, after a look, the systems and value sets that were met, each with the value set that names it.

    Args:
        lists_decide: a code that is not among those that a value set lists is not in it, even where the version of the
            system is not here.
    """

    def __init__(self, scope: Scope, *, lists_decide: bool = False) -> None:
        self._scope = scope
        self._lists_decide = lists_decide
        self._found: dict[tuple[str, Asked], Answer] = {}
        self.seen: dict[tuple[str, str], tuple[Header | Composition, Composition]] = {}

    def find(self, composition: Composition, asked: Asked, within: Sequence[str] = ()) -> Answer:
        """Return where a value set holds a code.

        Raises:
            BadValue: it imports itself, or has a filter that is not supported.
            TooCostly: it imports too deep, or has an expression that takes too long.
        """
        name = composition.name
        if name in within:
            raise circular(name, ", ".join(within)).raised()
        if len(within) >= DEEPEST:
            raise too_deep(name, DEEPEST).raised()
        key = (name, asked)
        if key not in self._found:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            self._found[key] = self._looked(composition, asked, within)
        return self._found[key]

    def _looked(self, composition: Composition, asked: Asked, within: Sequence[str]) -> Answer:
        name = composition.name
        if not composition.includes:
            return self._in_list(composition, asked)
        if composition.broken is not None:
            raise composition.broken.raised()
        found = self._any(composition.includes, composition, asked, (*within, name))
        if composition.excludes and (found.matches or any(each.value_sets for each in composition.excludes)):
            excluded = self._any(composition.excludes, composition, asked, (*within, name))
            found.matches = [each for each in found.matches if not _excluded(each, excluded, composition)]
        if not found.matches and found.missing and composition.listed is not None:
            return self._in_list(composition, asked)
        return found

    def _any(self, items: Iterable[Part], whole: Composition, asked: Asked, within: Sequence[str]) -> Answer:
        found = Answer()
        for item in items:
            found.add(self.in_part(item, whole, asked, within))
        return found

    def in_part(self, item: Part, whole: Composition, asked: Asked, within: Sequence[str] = ()) -> Answer:
        """Return where one include or exclude holds a code. Raises as `find`."""
        answers = [self._in_system(item, whole, asked)] if item.system else []
        answers += (self._imported(canonical, whole, asked, within) for canonical in item.value_sets)
        if not answers or any(not each.matches and not each.missing for each in answers):
            # What is missing must be told even where it would not change the answer: the value set is broken.
            return Answer(sets=[name for each in answers for name in each.sets])
        if all(each.matches for each in answers):
            return answers[0]
        merged = Answer()
        for each in answers:
            merged.add(each)
        merged.matches = []
        return merged

    def _imported(self, canonical: str, whole: Composition, asked: Asked, within: Sequence[str]) -> Answer:
        composition = self._scope.value_set(canonical, whole)
        if composition is None:
            return Answer(sets=[canonical])
        self.seen[("ValueSet", composition.name)] = composition, whole
        return self.find(composition, asked, within)

    def _in_system(self, item: Part, whole: Composition, asked: Asked) -> Answer:
        if asked.system is not None and asked.system != item.system:
            return Answer()
        resolved = self._scope.resolve(item.system, item.version, asked.version)
        system = resolved.system
        if system is None:
            listed = _listed(item, asked.code, None)
            known = [Match(item.system, None, None, listed, resolved.findings, resolved.missing)] if listed else []
            decided = bool(known) or (item.concepts is not None and self._decided_by_list(item))
            return Answer(known, [] if decided else [resolved])
        self.seen[("CodeSystem", f"{item.system}|{system.header.version}")] = system.header, whole
        match = _match(item, system, asked.code)
        if match is None:
            return Answer()
        refused = match.concept is not None and match.concept.inactive and not whole.inactive
        return Answer([replace(match, findings=resolved.findings, missing=resolved.missing, refused=refused)])

    def _decided_by_list(self, item: Part) -> bool:
        """Tell whether a list of codes is enough to say that a code is not there: not if its version is at fault."""
        return self._lists_decide or not self._scope.sources.versions(item.system)

    def _in_list(self, composition: Composition, asked: Asked) -> Answer:
        if composition.listed is None:
            return Answer(sets=[composition.name])
        found = Answer()
        for (system, code), item in composition.listed.items():
            if code == asked.code and asked.system in (None, system):
                held = self._scope.system(system)
                found.matches.append(Match(system, held, held.concept(code) if held else None, item))
        return found


def _merge(into: list[T], more: Sequence[T]) -> None:
    here = set(map(id, into))
    into += [each for each in more if id(each) not in here]


def _match(item: Part, system: CodeSystem, code: str) -> Match | None:
    concept = system.concept(code)
    if item.concepts is not None:
        listed = _listed(item, code, concept)
        return None if listed is None else Match(item.system, system, concept, listed)
    if concept is None:
        part = system.header.content in ("fragment", "example") and not item.filters
        return Match(item.system, system, None, unsure=True) if part else None
    for filter_ in item.filters:
        if not system.matches(concept.code, filter_):
            return None
    return Match(item.system, system, concept)


def _listed(item: Part, code: str, concept: Concept | None) -> Json | None:
    concepts = item.concepts or {}
    if code in concepts:
        return concepts[code]
    if concept is None or concept.code == code:
        return None
    # The code is written in another case than the system's, which does not mind.
    return next((each for name, each in concepts.items() if name.casefold() == code.casefold()), None)


def _excluded(match: Match, excluded: Answer, composition: Composition) -> bool:
    if composition.versions_match is not False:
        return bool(excluded.matches)
    return any(each.system is match.system for each in excluded.matches)
