"""Whether a question is enabled by the answers to others.

Spec: https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.fhirpath import FhirPathError, evaluate
from fhir_server.validation.resources.values import Value, choice, compare, extension, objects, text

Json = Mapping[str, Any]
Answered = dict[str, list[Value]]

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


class Conditions:
    """Tells for one response which questions are enabled; what was answered is looked up once."""

    def __init__(self, response: Json) -> None:
        self._response = response
        self._answered: dict[int, Answered] = {}

    def enabled(self, question: Json, above: Sequence[Json]) -> bool:
        """Tell whether a question is to be answered; `above` are the response and the items and answers around it."""
        written = _expression(question)
        if written:
            return _true(written, self._response)
        conditions = [condition for _, condition in objects(question, "enableWhen")]
        if not conditions:
            return True
        results = (self._holds(condition, above) for condition in conditions)
        return all(results) if question.get("enableBehavior") == "all" else any(results)

    def _holds(self, condition: Json, above: Sequence[Json]) -> bool:
        answers, wanted = self._answers(text(condition, "question"), above), choice(condition, "answer")
        if wanted is None:
            return False
        operator = text(condition, "operator")
        if operator == "exists":
            return bool(answers) == (wanted.json is True)
        return any(_matches(operator, answer, wanted) for answer in answers)

    def _answers(self, link: str, above: Sequence[Json]) -> list[Value]:
        """Return the answers to a question: of the items nearest to where it is asked."""
        for owner in reversed(above):
            found = self._below(owner).get(link)
            if found is not None:
                return found
        return []

    def _below(self, owner: Json) -> "Answered":
        """Return the answers by link id, of an item or answer and all within."""
        found = self._answered.get(id(owner))
        if found is None:
            found = self._answered[id(owner)] = {}
            answers = [answer for _, answer in objects(owner, "answer")]
            if "linkId" in owner:
                values = [value for value in (choice(answer, "value") for answer in answers) if value is not None]
                found[text(owner, "linkId")] = values
            for one in (*(item for _, item in objects(owner, "item")), *answers):
                for link, values in self._below(one).items():
                    found[link] = found.get(link, []) + values
        return found


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
