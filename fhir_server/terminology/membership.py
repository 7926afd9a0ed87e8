"""Whether a code is in a value set, by look-up: nothing is expanded.

Answers are True, False, or the canonical URL of what is not here to tell.
"""

from collections.abc import Callable, Iterable, Sequence

from fhir_server.errors import BadValue, TooCostly
from fhir_server.terminology.code_system import CodeSystem, Concept
from fhir_server.terminology.composition import Composition, Part

Answer = bool | str
DEEPEST = 50
"""Value sets that may import one another in a row."""


class Membership:
    """Membership over the value sets and code systems of one library.

    Args:
        sets: gives a value set by canonical URL.
        systems: gives a code system by URL and version.
    """

    def __init__(
        self,
        sets: Callable[[str], Composition | None],
        systems: Callable[[str, str], CodeSystem | None],
    ) -> None:
        self._sets = sets
        self._systems = systems

    def holds(self, value_set: str, system: str | None, code: str, version: str = "") -> Answer:
        """Tell whether a value set holds a code; without a system, that of any of its systems.

        Raises:
            BadValue: it imports itself, or has a filter that is not supported.
            TooCostly: it imports too deep, or has an expression that takes too long.
        """
        return self._holds(value_set, (system, code, version), ())

    def known(self, system: str, code: str, version: str = "") -> Answer:
        """Tell whether a system holds a code."""
        found = self._systems(system, version)
        if found is None:
            return f"{system}|{version}" if version else system
        return found.concept(code) is not None or _rest(found)

    def _holds(self, canonical: str, asked: tuple[str | None, str, str], within: Sequence[str]) -> Answer:
        if canonical in within:
            raise BadValue(f"the value set {canonical[:200]!r} imports itself")
        if len(within) >= DEEPEST:
            raise TooCostly(f"the value set {canonical[:200]!r} is imported by way of more than {DEEPEST} others")
        composition = self._sets(canonical)
        if composition is None:
            return canonical
        if not composition.includes:
            return _in_list(composition, asked) if composition.listed is not None else canonical
        inside = (*within, canonical)
        found = _any(self._in_part(item, composition, asked, inside) for item in composition.includes)
        if found is False:
            return False
        excluded = _any(self._in_part(item, composition, asked, inside) for item in composition.excludes)
        answer = False if excluded is True else (excluded or found)
        listed = isinstance(answer, str) and composition.listed is not None
        return _in_list(composition, asked) if listed else answer

    def _in_part(
        self, item: Part, whole: Composition, asked: tuple[str | None, str, str], within: Sequence[str]
    ) -> Answer:
        answers: list[Answer] = []
        if item.system:
            answers.append(self._in_system(item, whole, asked))
            if answers[0] is False:
                return False
        answers += (self._holds(canonical, asked, within) for canonical in item.value_sets)
        return _all(answers) if answers else False

    def _in_system(self, item: Part, whole: Composition, asked: tuple[str | None, str, str]) -> Answer:
        system, code, version = asked
        if system is not None and system != item.system:
            return False
        if item.concepts is not None:
            return self._enumerated(item, whole, code, version)
        found = self._systems(item.system, item.version or version)
        if found is None:
            return item.canonical
        concept = found.concept(code)
        if concept is None:
            return _rest(found)
        if concept.inactive and not whole.inactive:
            return False
        return all(found.matches(concept.code, each) for each in item.filters)

    def _enumerated(self, item: Part, whole: Composition, code: str, version: str) -> Answer:
        concepts = item.concepts or {}
        if code in concepts and whole.inactive:
            return True
        found = self._systems(item.system, item.version or version)
        concept: Concept | None = found.concept(code) if found else None
        if concept is None:
            return code in concepts
        return concept.code in concepts and (whole.inactive or not concept.inactive)


def _rest(system: CodeSystem) -> Answer:
    """Return what a code that is not found means: of a part of a system, nothing."""
    return False if system.header.content == "complete" else system.header.url


def _in_list(composition: Composition, asked: tuple[str | None, str, str]) -> bool:
    system, code, _ = asked
    listed = composition.listed or {}
    return any(each == code for _, each in listed) if system is None else (system, code) in listed


def _any(answers: Iterable[Answer]) -> Answer:
    """Return True if one is, else what is missing, else False."""
    missing: Answer = False
    for answer in answers:
        if answer is True:
            return True
        missing = missing or answer
    return missing


def _all(answers: Iterable[Answer]) -> Answer:
    """Return False if one is, else what is missing, else True."""
    missing: Answer = True
    for answer in answers:
        if answer is False:
            return False
        if isinstance(answer, str):
            missing = answer
    return missing
