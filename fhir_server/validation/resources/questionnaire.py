"""Questionnaire: conditions on other questions, and options that fit the type of the question.

Spec: https://hl7.org/fhir/R4/questionnaire.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.answers import TYPES
from fhir_server.validation.resources.questionnaires import all_items
from fhir_server.validation.resources.values import choice, choice_place, objects, strings, text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]


def check(questionnaire: Json, place: Place, run: Run) -> None:
    """Check every item."""
    order = {text(item, "linkId"): at for at, item in enumerate(all_items(questionnaire))}
    for item, at in _placed(questionnaire, place):
        _check_conditions(item, order, at, run)
        _check_values(item, at, run)
    for index, canonical in strings(questionnaire, "derivedFrom"):
        if run.knowledge.library.find("Questionnaire", canonical) is None and run.resolve(canonical) is None:
            at = Place(place, "derivedFrom", index)
            run.warn(
                at, "business-rule", f"the questionnaire {canonical[:200]!r} that this is derived from is not known"
            )


def _placed(owner: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    for index, item in objects(owner, "item"):
        at = Place(place, "item", index)
        yield item, at
        yield from _placed(item, at)


def _check_conditions(item: Json, order: Mapping[str, int], place: Place, run: Run) -> None:
    own = text(item, "linkId")
    below = {text(one, "linkId") for one in all_items(item)}
    for _, condition in objects(item, "enableWhen"):
        link = text(condition, "question")
        if not link:
            continue
        if link not in order:
            run.error(place, "business-rule", f"enableWhen names the question {link[:64]!r}, which there is not")
        elif link == own:
            run.error(place, "business-rule", "enableWhen cannot depend on the item itself")
        elif link in below:
            run.error(place, "business-rule", "enableWhen cannot depend on an item within the item itself")
        elif order[link] > order.get(own, -1):
            run.warn(place, "business-rule", f"enableWhen depends on the question {link[:64]!r}, which comes later")


def _check_values(item: Json, place: Place, run: Run) -> None:
    """Check the types of initial values. Spec: https://hl7.org/fhir/R4/questionnaire-definitions.html"""
    allowed = TYPES.get(text(item, "type"))
    for index, initial in objects(item, "initial"):
        value = choice(initial, "value")
        if value is not None and allowed is not None and value.type not in allowed:
            at = choice_place(Place(place, "initial", index), "value", value)
            run.error(at, "invalid", f"the initial value must be of type {' or '.join(allowed)}, not {value.type}")
