"""The displays of a concept: which one to show in a language, and whether a given one is right.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/requirements.html
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fhir_server.terminology.code_system import Concept, Designation, Json
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.members import parts, text
from fhir_server.terminology.outcomes import Finding
from fhir_server.terminology.versions import choices

_NO_DISPLAYS = frozenset(("definition", "fully-specified-definition"))


@dataclass(frozen=True, slots=True)
class Display:
    """One way to show a concept; `language` is empty where nobody says it."""

    value: str
    language: str


@dataclass(frozen=True, slots=True)
class Displays:
    """All ways to show a concept, the system's own first."""

    own: Display
    others: Sequence[Display]

    def all(self) -> Iterator[Display]:
        """Yield those that are not empty."""
        yield from (each for each in (self.own, *self.others) if each.value)

    def best(self, languages: Languages) -> str:
        """Return the one to show; empty where none of the languages fits and nothing else will do."""
        if not languages:
            return self.own.value if languages.others else ""
        ranked = [(rank, each.value) for each in self.all() if (rank := languages.rank(each.language)) is not None]
        if ranked:
            return min(ranked, key=lambda item: item[0])[1]
        return self.own.value if languages.others or not self.own.language else ""


def displays_of(concept: Concept, language: str, listed: Json | None = None) -> Displays:
    """Return the displays of a concept; those that a value set gives come first."""
    own = text(listed, "display") if listed else ""
    others = [Display(each.value, each.language) for each in concept.designations if _is_display(each)]
    for each in parts(listed, "designation") if listed else ():
        others.append(Display(text(each, "value"), text(each, "language")))
    if own and own != concept.display:
        others.insert(0, Display(concept.display, language))
    return Displays(Display(own or concept.display, language), others)


def wrong(displays: Displays, given: str, named: str, languages: Languages, at: str) -> Finding | None:
    """Return what is wrong with a display, or worth to know; None where it is right.

    Args:
        named: the code, as `system#code`.
    """
    fitting = [each for each in displays.all() if _fits(each, languages)]
    if any(_plain(each.value) == _plain(given) for each in fitting):
        return None
    if not fitting:
        return _no_fitting(displays, given, named, languages, at)
    spaced = any(_spaced(each.value) == _spaced(given) for each in fitting)
    shown = fitting if languages else _default(displays) or fitting
    start, key = ("Wrong whitespace in Display Name", "_WS") if spaced else ("Wrong Display Name", "")
    texts = [f"'{each.value}'" + (f" ({each.language})" if each.language else "") for each in shown]
    some = f"one of {len(texts)} choices: " if len(texts) > 1 else ""
    message = (
        f"{start} '{given}' for {named}. Valid display is {some}{choices(texts)}"
        f" (for the language(s) '{languages.named()}')"
    )
    return Finding(
        "error", "invalid", "invalid-display", f"Display_Name{key}_for__should_be_one_of__instead_of", message, at
    )


def _no_fitting(displays: Displays, given: str, named: str, languages: Languages, at: str) -> Finding:
    own, asked = displays.own, languages.named()
    if any(_plain(each.value) == _plain(given) for each in _default(displays)):
        message = (
            f"There are no valid display names found for the code {named} for language(s) '{asked}'."
            f" The display is '{given}' which is a valid display for the default language"
        )
        key = "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK"
        return Finding("information", "invalid", "invalid-display", key, message, at)
    message = (
        f"Wrong Display Name '{given}' for {named}. There are no valid display names found for language(s) '{asked}'."
        f" Default display is '{own.value}'"
    )
    return Finding("error", "invalid", "invalid-display", "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR", message, at)


def _default(displays: Displays) -> list[Display]:
    """Return the displays in the language of the system."""
    own = displays.own.language
    same = Languages((own,)) if own else None
    return [each for each in displays.all() if each.language == own or (same and same.rank(each.language) is not None)]


def _fits(display: Display, languages: Languages) -> bool:
    return not languages or not display.language or languages.rank(display.language) is not None


def _is_display(each: Designation) -> bool:
    return text(each.use or {}, "code") not in _NO_DISPLAYS


def _plain(value: str) -> str:
    return value.strip().casefold()


def _spaced(value: str) -> str:
    return " ".join(value.split()).casefold()


def wanted(designations: Iterable[Designation], asked: Sequence[str]) -> list[Designation]:
    """Return those designations that are asked for: by `urn:ietf:bcp:47|de`, or `system|code` of their use."""
    if not asked:
        return list(designations)
    return [each for each in designations if any(_is_asked(each, token) for token in asked)]


def _is_asked(each: Designation, token: str) -> bool:
    system, _, code = token.rpartition("|")
    if system in ("", "urn:ietf:bcp:47") and each.language:
        rank = Languages((code,)).rank(each.language)
        if rank == 0:
            return True
    use = each.use or {}
    return text(use, "code") == code and (not system or text(use, "system") == system)
