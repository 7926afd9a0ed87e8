"""Answers that are to be chosen: from answerOption, or from a value set.

Spec: https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.answerOption
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.model.json import encode
from fhir_server.packages import Entry, Library
from fhir_server.terminology import Terminology
from fhir_server.terminology.checks import CodeCheck
from fhir_server.validation.place import Place
from fhir_server.validation.resources.questionnaires import contained
from fhir_server.validation.resources.values import Value, choice, choice_place, extension, number, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_EXCLUSIVE = "http://hl7.org/fhir/StructureDefinition/questionnaire-optionExclusive"
_MOST_CODES = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What a question offers; each as a key by which two values are the same."""

    all: frozenset[Hashable]
    exclusive: frozenset[Hashable]
    displays: frozenset[str]


def options(question: Json, run: Run) -> Options:
    """Return the values of answerOption; a question is looked at once."""
    key = ("options", id(question))
    if key not in run.memo:
        found = [(option, choice(option, "value")) for _, option in objects(question, "answerOption")]
        values = [(option, value) for option, value in found if value is not None]
        # The question is kept beside, so that no other object gets its id.
        run.memo[key] = (
            question,
            Options(
                frozenset(_key(value) for _, value in values),
                frozenset(_key(value) for option, value in values if _excludes(option)),
                frozenset(text(value.json, "display") for _, value in values if value.type == "Coding") - {""},
            ),
        )
    known: Options = run.memo[key][1]
    return known


def _excludes(option: Json) -> bool:
    mark = extension(option, _EXCLUSIVE)
    return mark is not None and mark.json is True


def _key(value: Value) -> Hashable:
    if value.type == "Coding":
        return value.type, text(value.json, "system"), text(value.json, "code")
    if value.type == "Reference":
        return value.type, text(value.json, "reference")
    exact = number(value.json)
    return value.type, str(value.json) if exact is None else exact


def exclusive(question: Json, answer: Value, run: Run) -> bool:
    """Tell whether an answer is marked as one that excludes others."""
    return _key(answer) in options(question, run).exclusive


def check_option(question: Json, answer: Value, questionnaire: Json, place: Place, run: Run) -> None:
    """Check that an answer is one of those that are offered, if any are."""
    value_set, type_ = text(question, "answerValueSet"), question.get("type")
    if options(question, run).all:
        _check_offered(question, answer, place, run)
    elif value_set and (answer.type == "Coding" or (answer.type == "string" and type_ != "open-choice")):
        _check_value_set(value_set, answer, questionnaire, place, run)
    elif value_set:
        return
    elif type_ in ("choice", "open-choice"):
        run.inform(place, "invariant", "the answer is not checked: the question offers no options")


def _check_offered(question: Json, answer: Value, place: Place, run: Run) -> None:
    offered = options(question, run)
    if _key(answer) in offered.all:
        return
    if question.get("type") == "open-choice" and answer.type == "string":
        if isinstance(answer.json, str) and answer.json in offered.displays:
            text_ = f"{shorten(answer.json)} is the display of an option; should it be a Coding?"
            run.warn(place, "invariant", text_)
        return
    if answer.type == "Coding":
        shown = f"{text(answer.json, 'system')}#{text(answer.json, 'code')}"
        run.error(place, "invariant", f"the code {shown[:200]!r} is not one of the options")
    else:
        at = choice_place(place, "value", answer)
        run.error(at, "invariant", f"the {answer.type} {shorten(answer.json)} is not one of the options")


def _check_value_set(url: str, answer: Value, questionnaire: Json, place: Place, run: Run) -> None:
    coding = answer.json if answer.type == "Coding" else {"code": answer.json}
    if not text(coding, "code"):
        return
    if answer.type == "Coding" and not text(coding, "system"):
        run.warn(place, "code-invalid", "a code without a system has no defined meaning")
    found = _checked(url, coding, questionnaire, run)
    if found.result is None:
        run.warn(place, "code-invalid", found.message or f"the value set {url[:200]!r} is not known")
    elif answer.type == "string" and not found.result:
        at = choice_place(place, "value", answer)
        run.error(at, "invariant", f"{shorten(answer.json)} is not a code of the value set {url[:200]!r}")
    elif not found.result or found.display:
        run.error(place, "code-invalid", found.message)


def _checked(url: str, coding: Json, owner: Json, run: Run) -> CodeCheck:
    terms = run.knowledge.terms
    if url.startswith("#"):
        inner = contained(url[1:], owner) or contained(url[1:], run.root)
        if inner is None:
            return CodeCheck(None, url, message=f"no contained value set has the id {url[1:65]!r}")
        terms, url = _terms_with(inner, run)
    system, display = text(coding, "system") or None, text(coding, "display") or None
    return terms.check(url, system, text(coding, "code"), display=display)


def _terms_with(value_set: Json, run: Run) -> tuple[Terminology, str]:
    """Return a terminology that knows a contained value set, under a URL of its own."""
    key = ("options", id(value_set))
    if key not in run.memo:
        url = f"urn:contained:{value_set.get('id')}"
        data = encode({**value_set, "url": url})
        library = Library((Entry(url, "ValueSet", url, "", data),), run.knowledge.library)
        run.memo[key] = value_set, (Terminology(library, _MOST_CODES), url)
    found: tuple[Terminology, str] = run.memo[key][1]
    return found
