"""QuestionnaireResponse against its Questionnaire: items that are known, in order, required, enabled.

Spec: https://hl7.org/fhir/R4/questionnaireresponse.html#notes
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.answers import check_answers
from fhir_server.validation.resources.enable_when import Conditions
from fhir_server.validation.resources.questionnaires import all_items, find, other_type
from fhir_server.validation.resources.values import child, objects, text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]
Items = list[tuple[int, Json]]


@dataclass(frozen=True, slots=True)
class Form:
    """The questionnaire that a response answers, all its link ids, and the one validation of it."""

    links: frozenset[str]
    questionnaire: Json
    run: Run
    in_progress: bool
    conditions: Conditions

    def require(self, place: Place, fault: str) -> None:
        """Note that an answer lacks: an error once the response claims to be complete."""
        (self.run.warn if self.in_progress else self.run.error)(place, "required", fault)


def check(response: Json, place: Place, run: Run) -> None:
    """Check a response against the questionnaire it names."""
    canonical = text(response, "questionnaire")
    if not canonical:
        run.inform(place, "required", "no questionnaire is named, so the answers are not checked against one")
        return
    questionnaire = find(canonical, response, run)
    if questionnaire is None:
        _unknown(canonical, place, run)
        return
    _check_period(questionnaire, response, place, run)
    links = frozenset(text(item, "linkId") for item in all_items(questionnaire))
    in_progress = response.get("status") == "in-progress"
    form = Form(links, questionnaire, run, in_progress, Conditions(response))
    check_items(form, questionnaire, (response,), place)


def _unknown(canonical: str, place: Place, run: Run) -> None:
    other = other_type(canonical, run)
    at = Place(place, "questionnaire")
    if other:
        run.error(at, "invalid", f"{canonical[:200]!r} is a {other}, not a Questionnaire")
    run.warn(place, "required", f"the questionnaire {canonical[:200]!r} is not known, so the answers are not checked")


def _check_period(questionnaire: Json, response: Json, place: Place, run: Run) -> None:
    authored, period = text(response, "authored"), child(questionnaire, "effectivePeriod")
    at = Place(place, "authored")
    start, end = text(period, "start"), text(period, "end")
    if authored and start and authored[: len(start)] < start[: len(authored)]:
        run.warn(
            at, "business-rule", f"authored {authored} is before {start}, when the questionnaire comes into effect"
        )
    if authored and end and authored[: len(end)] > end[: len(authored)]:
        run.warn(
            at, "business-rule", f"authored {authored} is after {end}, when the questionnaire is no longer in effect"
        )


def check_items(form: Form, definition: Json, above: tuple[Json, ...], place: Place) -> None:
    """Check the items of the last of `above` (a response, an item or an answer) against those of a definition."""
    defined = objects(definition, "item")
    known = _known_items(form, defined, above, place)
    for _, question in defined:
        link = text(question, "linkId")
        _check_question(form, question, known.get(link, []), above, place)


def _known_items(form: Form, defined: Items, above: tuple[Json, ...], place: Place) -> dict[str, Items]:
    """Group items by link id, and note those that are unknown, misplaced or out of order."""
    known: dict[str, Items] = {}
    positions = {text(item, "linkId"): at for at, (_, item) in enumerate(defined)}
    last = -1
    for index, item in objects(above[-1], "item"):
        link = text(item, "linkId")
        position = positions.get(link, -1)
        if position >= 0:
            if position < last:
                form.run.error(place, "structure", f"item {link[:64]!r} is out of order")
            last = max(last, position)
            known.setdefault(link, []).append((index, item))
        elif link in form.links:
            form.run.error(
                place, "structure", f"item {link[:64]!r} is in the wrong place: the questionnaire has it elsewhere"
            )
        elif link:
            form.run.error(place, "not-found", f"the questionnaire has no item {link[:64]!r}")
    return known


def _check_question(form: Form, question: Json, items: Items, above: tuple[Json, ...], place: Place) -> None:
    link, run = text(question, "linkId"), form.run
    is_enabled = form.conditions.enabled(question, above)
    if not items:
        if is_enabled and question.get("required") is True:
            form.require(place, f"there is no response to the required item {link[:64]!r}")
        return
    if len(items) > 1 and question.get("repeats") is not True:
        run.error(place, "invalid", f"item {link[:64]!r} does not repeat")
    for index, item in items:
        at = Place(place, "item", index)
        if not is_enabled and (objects(item, "answer") or objects(item, "item")):
            run.error(at, "invalid", f"item {link[:64]!r} is answered, but it is not enabled")
        _check_item(form, question, (*above, item), at, is_enabled=is_enabled)


def _check_item(form: Form, question: Json, above: tuple[Json, ...], place: Place, *, is_enabled: bool) -> None:
    item, run, type_ = above[-1], form.run, question.get("type")
    said, wanted = text(item, "text"), text(question, "text")
    if said and said != wanted:
        run.error(place, "invalid", f"the text must be that of the questionnaire: {wanted[:200]!r}")
    answers = objects(item, "answer")
    inner = objects(item, "item")
    if type_ == "group":
        if answers:
            run.error(place, "structure", "a group cannot have answers")
        if question.get("required") is True and not inner and is_enabled:
            run.error(place, "invariant", "a required group must have items")
        check_items(form, question, above, place)
        return
    if type_ == "display":
        if inner:
            run.error(place, "structure", "an item of type display cannot have items")
    elif inner:
        run.error(place, "structure", f"an item of type {type_} has its items below its answer, not beside it")
    if is_enabled and question.get("required") is True and not answers:
        form.require(place, f"there is no answer to the required item {text(question, 'linkId')[:64]!r}")
    check_answers(question, answers, (form.questionnaire, item), place, run)
    for index, answer in answers:
        check_items(form, question, (*above, answer), Place(place, "answer", index))
