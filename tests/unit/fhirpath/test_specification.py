"""The specification, statement by statement, where its examples and its small print are easily missed.

Spec: https://hl7.org/fhirpath/N1/ and, for what is on trial there, https://hl7.org/fhirpath/
"""

from decimal import Decimal

import pytest

from fhir_server.fhirpath import FhirPathError, compile_expression, evaluate

NAMES = {"resourceType": "Patient", "id": "p", "name": [{"family": "A", "given": ["B", "C"]}, {"family": "D"}]}

PRECEDENCE = [
    ("(1 | 1 is Integer).count()", [2]),
    ("('a' | true is Boolean) contains true", [True]),
    ("1 + 2 is Integer", [True]),
    ("1 = 1 is Boolean", [False]),
]
EMPTY = [
    ("{} + (1 | 2)", []),
    ("(1 | 2) * {}", []),
    ("{} < (1 | 2)", []),
    ("(1 | 2) mod {}", []),
    ("(1 | 2).take({})", []),
    ("(1 | 2).skip({})", []),
]
STRINGS = [
    (r"'\p' & '\\p' & '\3' & '\u005'", ["p\\p3u005"]),
    (r"'\uD83D\uDE00'.length()", [1]),
    ("'abc'.lastIndexOf('')", [0]),
    ("'abc abc'.lastIndexOf('a')", [4]),
    (r"' a\u00a0'.trim() = 'a\u00a0'", [True]),
    (r"'a\tb' ~ 'a b'", [True]),
    ("'a b' ~ 'a  b'", [False]),
    ("'abc'.replaceMatches('x', '$1')", ["abc"]),
    ("('b' | 'a').sort($this desc)", ["b", "a"]),
    ("(2 | 1 | 3).sort($this asc)", [1, 2, 3]),
]
QUANTITIES = [
    ("3 'm' + 3 'cm' = 303 'cm'", [True]),
    ("(3 'm' + 3 'cm').unit", ["cm"]),
    ("(3 'm' - 3 'cm').value", [Decimal(297)]),
    ("(1 day + 1 hour).toString()", ["25 hours"]),
    ("(2 days * 3).toString()", ["6 days"]),
    ("(3 * 2 days).toString()", ["6 days"]),
    ("(6 days / 2).toString()", ["3 days"]),
    ("(10 '%').avg().unit", ["%"]),
    ("1 'day' = 1 day", [True]),
    ("'2 \\'days\\''.toQuantity() = 2 days", [True]),
    ("1 month = 30 days", [True]),
    ("1 month < 32 days", [True]),
    ("1 year > 52 weeks", [True]),
    ("1 year = 1 'a'", []),
    ("1 month != 30 'd'", []),
    ("1 month = 1 'g'", [False]),
    ("1 '[no-such]' = 1 'g'", []),
    ("(1 | 1 '1').count()", [1]),
    ("1 '1' in (1 | 2)", [True]),
    ("(5.5 'mg').round().value", [Decimal(6)]),
    ("(-5.5 'mg').floor().unit | (-5.5 'mg').truncate().value", ["mg", Decimal(-5)]),
]
TIMES = [
    ("@T10 - 25 minutes", ["10"]),
    ("@T10 + 90 minutes", ["11"]),
    ("@T10:30 - 10 'ms'", ["10:30"]),
    ("@T23:30 + 1 hour", ["00:30"]),
    ("@2015-01-31T10:30:15.123 - 7.7 milliseconds", ["2015-01-31T10:30:15.115"]),
    ("@2014-01-05T10:30:00.000-07:00.yearOf()", [2014]),
    ("@2012.monthOf()", []),
    ("@2014-01-05.dayOf() | @2014-01-05.hourOf()", [5]),
    ("@T16:30:40.002.hourOf() | @T16:30:40.002.minuteOf() | @T16:30:40.002.secondOf()", [16, 30, 40]),
    ("@T16:30:40.002.millisecondOf()", [2]),
    ("@2012-01-01T12:30:00.000-07:30.timezoneOffsetOf()", [Decimal("-7.5")]),
    ("@2012-01-01T12:30:00Z.timezoneOffsetOf() | @2012.timezoneOffsetOf()", [Decimal(0)]),
    ("@2012-01-01T12:30:00.000-07:00.dateOf()", ["2012-01-01"]),
    ("@2012-01-01T12:30:00.000-07:00.timeOf()", ["12:30:00.000"]),
    ("@2012-01-01T.timeOf()", []),
]
NUMBERS = [
    ("2147483647 + 1", []),
    ("-2147483648 - 1", []),
    ("2147483647L + 1", [2147483648]),
    ("5L is Long and 5L is System.Long and (5L is Integer).not()", [True]),
    ("(5L + 1).type().name | (-5L).type().name", ["Long"]),
    ("5L = 5 and 5L < 5.5 and 5L.toString() = '5'", [True]),
    ("'9223372036854775807'.toLong() - 1", [9223372036854775806]),
    ("'9223372036854775808'.convertsToLong()", [False]),
    ("'2147483648'.toInteger()", []),
    ("'2147483648'.convertsToInteger()", [False]),
    ("true.toLong()", [1]),
    ("0.power(-1)", []),
]
ALL = [*PRECEDENCE, *EMPTY, *STRINGS, *QUANTITIES, *TIMES, *NUMBERS]


@pytest.mark.parametrize(("expression", "result"), ALL, ids=[expression for expression, _ in ALL])
def test_the_specification_is_followed(expression: str, result: list[object]) -> None:
    assert evaluate({}, expression) == result


@pytest.mark.parametrize(
    "expression",
    ["1 > 2 is Boolean", "@T10.yearOf() + 'x'.yearOf()", "'abc'.replaceMatches('b', '$1')", "(1 | 2) in {}"],
)
def test_what_has_no_meaning_is_refused(expression: str) -> None:
    with pytest.raises(FhirPathError) as refused:
        evaluate({}, expression)
    assert refused.value.position is not None


def test_a_variable_is_defined_from_the_input() -> None:
    expression = "Patient.name.defineVariable('all', family).select(given.first() & %all.count().toString())"
    assert evaluate(NAMES, expression) == ["B2", "2"]


def test_the_arguments_of_coalesce_are_no_expressions_on_items() -> None:
    assert evaluate(NAMES, "name.coalesce(id, 'x')") == ["p"]
    assert evaluate(NAMES, "name.select(coalesce(given, family))") == ["B", "C", "D"]


def test_a_quantity_is_no_primitive() -> None:
    assert evaluate({}, "(4 'g').hasValue() or (4 'g').getValue().exists()") == [False]
    assert evaluate({}, "4.hasValue()") == [True]


def test_a_long_is_a_plain_number_among_the_results() -> None:
    [found] = compile_expression("5L").evaluate({})
    assert (type(found.value), found.type) == (int, "System.Long")


def test_answers_weigh_what_their_codes_say() -> None:
    scored = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 3}]}
    answers = [{"valueCoding": {"code": "a", **scored}}, {"valueCoding": {"code": "b"}}, {"valueInteger": 7}]
    response = {"resourceType": "QuestionnaireResponse", "item": [{"linkId": "1", "answer": answers}]}
    for path in ("answer.weight()", "answer.value.ordinal()", "answer.value.weight().sum()"):
        assert evaluate(response, f"QuestionnaireResponse.item.{path}") == [3]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@2000-01-31 + onset", ["2003-01-31"]),
        ("@2000-01-31T10:00:00Z - onset", ["1997-01-31T10:00:00Z"]),
        ("onset = 3 years and 36 months = onset", [True]),
        ("onset = 3 'a' and onset > 2 'a' and onset > 2 years", [True]),
        ("(onset + 1 year).toString()", ["4 years"]),
        ("(onset + 1 'a').toString()", ["4 'a'"]),
        ("onset.toString()", ["3 'a'"]),
        ("onset.toQuantity('months').toString()", ["36 months"]),
    ],
)
def test_a_quantity_of_fhir_counts_on_the_calendar(expression: str, result: list[object]) -> None:
    onset = {"value": 3, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"}
    condition = {"resourceType": "Condition", "onsetAge": onset}
    assert evaluate(condition, expression) == result
