"""The answers to one question: how many, of which type, within which bounds.

Spec: https://hl7.org/fhir/R4/questionnaire.html, https://hl7.org/fhir/R4/questionnaire-profilelist.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.errors import FhirError
from fhir_server.terminology.patterns import Pattern
from fhir_server.validation.place import Place
from fhir_server.validation.resources.attachment import size_of
from fhir_server.validation.resources.options import check_option, exclusive
from fhir_server.validation.resources.values import (
    Value,
    choice,
    choice_place,
    compare,
    extension,
    extensions,
    number,
    same_units,
    text,
)
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
_CHOICES = ("Coding", "date", "time", "integer", "string")
TYPES: Mapping[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "decimal": ("decimal",),
    "integer": ("integer",),
    "date": ("date",),
    "dateTime": ("dateTime",),
    "time": ("time",),
    "string": ("string",),
    "text": ("string",),
    "url": ("uri",),
    "choice": _CHOICES,
    "open-choice": _CHOICES,
    "attachment": ("Attachment",),
    "reference": ("Reference",),
    "quantity": ("Quantity",),
}


def check_answers(
    question: Json, answers: list[tuple[int, Json]], owners: tuple[Json, Json], place: Place, run: Run
) -> None:
    """Check the answers of one item; `owners` are the questionnaire and the item of the response."""
    type_ = text(question, "type")
    if answers and type_ in ("display", "question"):
        run.error(place, "structure", f"an item of type {type_} cannot have answers")
        return
    _check_count(question, len(answers), place, run)
    for index, answer in answers:
        at = Place(place, "answer", index)
        value = choice(answer, "value")
        if value is not None:
            _check_value(question, value, owners[0], at, run)
            if len(answers) > 1 and exclusive(question, value, run):
                run.error(at, "invariant", "this answer excludes all others")


def _check_count(question: Json, count: int, place: Place, run: Run) -> None:
    repeats = question.get("repeats") is True
    most = _bound(question, f"{_CORE}questionnaire-maxOccurs")
    least = _bound(question, f"{_CORE}questionnaire-minOccurs")
    if most is not None and count > most:
        run.error(place, "invalid", f"there may be at most {most} answers, not {count}")
    elif count > 1 and not repeats:
        run.error(place, "invalid", "the question has one answer; it does not repeat")
    if least is not None and count < least:
        run.error(place, "invalid", f"there must be at least {least} answers, not {count}")


def _bound(question: Json, url: str) -> int | None:
    value = extension(question, url)
    return value.json if value and isinstance(value.json, int) and not isinstance(value.json, bool) else None


def _check_value(question: Json, value: Value, questionnaire: Json, place: Place, run: Run) -> None:
    type_ = text(question, "type")
    at = choice_place(place, "value", value)
    allowed = TYPES.get(type_)
    if allowed is None:
        return
    if value.type not in allowed:
        run.error(at, "invariant", f"the answer must be of type {' or '.join(allowed)}, not {value.type}")
        return
    check_option(question, value, questionnaire, place, run)
    _check_bounds(question, value, at, run)
    if isinstance(value.json, str) and value.type == "string":
        _check_text(question, value.json, at, run)
    elif value.type == "Attachment":
        _check_attachment(question, value.json, place, run)
    elif value.type == "Reference":
        _check_reference(question, value.json, at, run)
    elif value.type == "Quantity":
        _check_unit(question, value, at, run)
    elif value.type in ("decimal", "integer"):
        _check_digits(question, value.json, at, run)


def _check_bounds(question: Json, value: Value, place: Place, run: Run) -> None:
    quantity = value.type == "Quantity"
    for name, wrong, word in (("min", -1, "less than the minimum"), ("max", 1, "more than the maximum")):
        urls = (f"{_SDC}{name}Quantity",) if quantity else (f"{_CORE}{name}Value",)
        for url in urls:
            bound = extension(question, url)
            if bound is None:
                continue
            if quantity and not same_units(value.json, bound.json):
                text_ = f"{_shown(value)} cannot be compared with the {name}imum of {_shown(bound)}: their units differ"
                run.error(place, "invariant", text_)
            elif compare(value, bound) == wrong:
                run.error(place, "invariant", f"{_shown(value)} is {word} of {_shown(bound)}")


def _shown(value: Value) -> str:
    if value.type == "Quantity":
        return f"{value.json.get('value')} {value.json.get('code') or value.json.get('unit') or '(no unit)'}"
    return shorten(value.json)


def _check_text(question: Json, answer: str, place: Place, run: Run) -> None:
    most = question.get("maxLength")
    least = _bound(question, f"{_CORE}minLength")
    if isinstance(most, int) and len(answer) > most:
        run.error(place, "invariant", f"the answer has {len(answer)} characters; it may have at most {most}")
    if least is not None and len(answer) < least:
        run.error(place, "invariant", f"the answer has {len(answer)} characters; it must have at least {least}")
    _check_regex(question, answer, place, run)
    if question.get("type") == "string" and ("\n" in answer or "\r" in answer):
        run.warn(place, "invariant", "an answer of type string should be one line")


def _check_regex(question: Json, answer: str, place: Place, run: Run) -> None:
    expression = extension(question, f"{_CORE}regex")
    if expression is None or not isinstance(expression.json, str):
        return
    try:
        if not Pattern.of(expression.json).test()(answer):
            run.error(place, "invariant", f"the answer does not match {shorten(expression.json)}")
    except FhirError as error:
        run.warn(place, "too-costly", f"the answer is not checked: {error}")


def _check_digits(question: Json, answer: object, place: Place, run: Run) -> None:
    value, most = number(answer), _bound(question, f"{_CORE}maxDecimalPlaces")
    exponent = value.as_tuple().exponent if value is not None else 0
    if most is not None and isinstance(exponent, int) and -exponent > most:
        run.error(place, "invariant", f"the answer may have at most {most} decimal places")


def _check_unit(question: Json, answer: Value, place: Place, run: Run) -> None:
    """Spec: https://hl7.org/fhir/R4/extension-questionnaire-unitoption.html"""
    offered = [value.json for value in extensions(question, f"{_CORE}questionnaire-unitOption")]
    if not offered or any(_is_unit(answer.json, one) for one in offered):
        return
    shown = ", ".join(text(one, "code") or text(one, "display") for one in offered)
    run.error(place, "invariant", f"{_shown(answer)} has another unit than those that are offered: {shown[:200]}")


def _is_unit(answer: Json, offered: Json) -> bool:
    if text(offered, "code"):
        return (text(answer, "system"), text(answer, "code")) == (text(offered, "system"), text(offered, "code"))
    return text(answer, "unit") == text(offered, "display")


def _check_attachment(question: Json, answer: Json, place: Place, run: Run) -> None:
    types = [value.json for value in extensions(question, f"{_CORE}mimeType") if isinstance(value.json, str)]
    given = text(answer, "contentType")
    if types and given not in types:
        run.error(place, "required", f"the MIME type {given[:100]!r} is not one of {', '.join(types)}")
    limit = extension(question, f"{_CORE}maxSize")
    most = number(limit.json) if limit else None
    size = size_of(answer)
    if most is not None and size is not None and size > most:
        run.error(place, "required", f"the attachment has {size} bytes; it may have at most {most}")


def _check_reference(question: Json, answer: Json, place: Place, run: Run) -> None:
    wanted = [value.json for value in extensions(question, f"{_CORE}questionnaire-referenceResource")]
    reference = text(answer, "reference")
    parts = reference.partition("/_history/")[0].rsplit("/", 2)
    if reference.startswith(("urn:", "#")) or len(parts) < 2:
        return
    type_ = parts[-2]
    if type_ not in run.knowledge.definitions.resource_types:
        run.error(place, "invariant", f"{shorten(type_)} in {shorten(reference)} is not a resource type")
    elif wanted and type_ not in wanted:
        run.error(place, "invariant", f"the answer may refer to {', '.join(map(str, wanted))}, not to {type_}")
