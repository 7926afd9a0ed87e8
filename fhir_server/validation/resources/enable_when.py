"""Whether a question is enabled by the answers to others.

Spec: https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.fhirpath import FhirPathError, evaluate
from fhir_server.validation.resources.values import Value, choice, compare, extension, objects, text

Json = Mapping[str, Any]

_OPERATORS: dict[str, Callable[[int], bool]] = {
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
}


# SDC's expression, and that of the Finnish national profiles that came before it.
_EXPRESSIONS = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
    "http://phr.kanta.fi/StructureDefinition/fiphr-ext-questionnaire-enablewhen",
)


def enabled(question: Json, above: Sequence[Json]) -> bool:
    """Tell whether a question is to be answered; `above` are the response and the items and answers it stands in."""
    written = _expression(question)
    if written:
        return _true(written, above[0])
    conditions = [condition for _, condition in objects(question, "enableWhen")]
    if not conditions:
        return True
    results = (_holds(condition, above) for condition in conditions)
    return all(results) if question.get("enableBehavior") == "all" else any(results)


def _expression(question: Json) -> str:
    for url in _EXPRESSIONS:
        value = extension(question, url) if "extension" in question else None
        if value is not None:
            return value.json if isinstance(value.json, str) else text(value.json, "expression")
    return ""


def _true(expression: str, response: Json) -> bool:
    """Tell whether an expression holds; one that cannot be evaluated disables nothing."""
    try:
        result = evaluate(dict(response), expression)
    except FhirPathError:
        return True
    return bool(result) and result[0] is not False


def _holds(condition: Json, above: Sequence[Json]) -> bool:
    answers = _answers(text(condition, "question"), above)
    wanted = choice(condition, "answer")
    if wanted is None:
        return False
    operator = text(condition, "operator")
    if operator == "exists":
        return bool(answers) == (wanted.json is True)
    return any(_matches(operator, answer, wanted) for answer in answers)


def _matches(operator: str, answer: Value, wanted: Value) -> bool:
    if operator in ("=", "!="):
        return _equal(answer, wanted) == (operator == "=")
    order = compare(answer, wanted)
    return order is not None and operator in _OPERATORS and _OPERATORS[operator](order)


def _equal(answer: Value, wanted: Value) -> bool:
    if answer.type == wanted.type == "Coding":
        system = wanted.json.get("system")
        return answer.json.get("code") == wanted.json.get("code") and system in (None, answer.json.get("system"))
    if answer.type == wanted.type == "Reference":
        return bool(answer.json.get("reference") == wanted.json.get("reference"))
    order = compare(answer, wanted)
    return order == 0 if order is not None else answer == wanted


def _answers(link: str, above: Sequence[Json]) -> list[Value]:
    """Return the answers to a question: of the items nearest to where it is asked."""
    for owner in reversed(above):
        found = [item for item in _items(owner) if item.get("linkId") == link]
        if found:
            answers = [answer for item in found for _, answer in objects(item, "answer")]
            return [value for value in (choice(answer, "value") for answer in answers) if value is not None]
    return []


def _items(owner: Json) -> Iterator[Json]:
    if "linkId" in owner:
        yield owner
    for _, item in (*objects(owner, "item"), *objects(owner, "answer")):
        yield from _items(item)
