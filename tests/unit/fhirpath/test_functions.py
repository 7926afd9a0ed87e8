"""Functions and operators by example: expression to result, where the official tests leave gaps."""

from decimal import Decimal

import pytest

from fhir_server.fhirpath import FhirPathError, evaluate

EXAMPLES: list[tuple[str, list[object]]] = [
    # existence and logic
    ("(true | false).anyTrue() and (true | false).anyFalse() and (false | false).allFalse()", [True]),
    ("{}.allTrue() and {}.anyTrue().not()", [True]),
    ("{}.all(false)", [True]),
    ("{} implies true", [True]),
    ("{} implies false", []),
    ("true implies {}", []),
    ("false and (1 / 0 > 'x'.length())", [False]),
    # collections
    ("(1 | 2 | 3).tail().last()", [3]),
    ("(1 | 2 | 3).skip(-1).take(1)", [1]),
    ("(1 | 2 | 3).take(0)", []),
    ("(1 | 2 | 3)[5]", []),
    ("1.combine(1 | 2).exclude(2)", [1, 1]),
    ("(1 | 1.0 | @2015 | @2015 | 'a')", [1, "2015", "a"]),
    ("(1 'g' | 1000 'mg').count()", [1]),
    ("true | 1", [True, 1]),
    ("coalesce({}, 2, 3)", [2]),
    ("(1 | 2 | 3 | 4).aggregate($total + $this, 0)", [10]),
    ("(1 | 2 | 3 | 4).sum()", [10]),
    ("(1 | 2 | 3 | 4).avg()", [Decimal("2.5")]),
    ("(3 | 1 | 2).min() | (3 | 1 | 2).max()", [1, 3]),
    ("(3 | 1 | 2).sort(-$this)", [3, 2, 1]),
    ("(1 | 2 | 3).where($index = 1)", [2]),
    ("1.repeat(iif($this < 5, $this + 1, {}))", [2, 3, 4, 5]),
    # strings
    ("'abc'.indexOf('c') | 'abc'.indexOf('x')", [2, -1]),
    ("'abcabc'.lastIndexOf('b')", [4]),
    ("'abc'.substring(3)", []),
    ("'abc'.substring(1, 0)", [""]),
    ("'a,,b'.split(',')", ["a", "", "b"]),
    ("('a' | 'b').join()", ["ab"]),
    ("{}.join(',')", []),
    ("'Zm9v'.decode('base64')", ["foo"]),
    ("'%%'.decode('base64')", []),
    ("'a'.encode('rot13')", []),
    ("'<a>'.escape('html').unescape('html')", ["<a>"]),
    (r"'a\nb'.escape('json')", ["a\\nb"]),
    (r"'a\\u00e9'.unescape('json')", ["aé"]),
    ("'12'.replaceMatches('(1)(2)', '$2$1')", ["21"]),
    ("'2024-05'.replaceMatches('(?<y>[0-9]+)-(?<m>[0-9]+)', '${m}/${y}')", ["05/2024"]),
    ("'ABC'.matches('abc', 'i')", [True]),
    (r"'Zoë'.matches('^\\p{L}+$')", [True]),
    ("'a' & {} & 'b'", ["ab"]),
    ("'a' + {}", []),
    # numbers
    ("7 div 2 | -7 div 2", [3, -3]),
    ("-7 mod 3 | 7 mod -3", [-1, 1]),
    ("-7.5 mod 2", [Decimal("-1.5")]),
    ("2.5.round() | (-2.5).round() | 2.45.round(1)", [3, -3, Decimal("2.5")]),
    ("2.power(-1)", [Decimal("0.5")]),
    ("2.power(63)", []),
    ("(-8).power(0.5)", []),
    ("0.ln()", []),
    ("8.log(2)", [Decimal(3)]),
    ("(-3 'mg').abs().value", [Decimal(3)]),
    ("9223372036854775807 + 1", []),
    # conversion
    ("'TRUE'.toBoolean() | 'n'.toBoolean()", [True, False]),
    ("'x'.toBoolean()", []),
    ("1.0.toInteger()", []),
    ("'1.5'.toDecimal()", [Decimal("1.5")]),
    ("'1e5'.toDecimal()", []),
    ("@2015-02-04T10:00Z.toDate()", ["2015-02-04"]),
    ("@2015.toDateTime().type().name", ["DateTime"]),
    ("'25:00'.convertsToTime()", [False]),
    ("'4 days'.toQuantity()", [{"value": Decimal(4), "unit": "day"}]),
    ("'4 stones'.toQuantity()", []),
    ("2 weeks.toString()", ["2 weeks"]),
    ("10.50.toString()", ["10.50"]),
    ("{}.toString()", []),
    # types
    ("1 is Integer and 1.0 is System.Decimal and (1 is Decimal).not()", [True]),
    ("1.ofType(String)", []),
    ("'x' is FHIR.string", [False]),
    # membership
    ("{} in (1 | 2)", []),
    ("1 in {}", [False]),
    ("(1 | 2) contains 2", [True]),
    # equivalence
    ("'A\\tb' ~ 'a B'", [True]),
    ("' a' ~ 'a' or 'a  b' ~ 'a b'", [False]),
    ("(1 | 2) ~ (2 | 1)", [True]),
    ("(1 | 2) = (2 | 1)", [False]),
    ("1.01 ~ 1.0", [True]),
    ("@2015 ~ @2015-01", [False]),
    # bounds
    ("1.precision() | 1.500.precision() | @2015-03.precision()", [0, 3, 6]),
    ("0.5.highBoundary(0)", [Decimal(1)]),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "result"), EXAMPLES, ids=[expression for expression, _ in EXAMPLES])
def test_expression_gives(expression: str, result: list[object]) -> None:
    found = evaluate({}, expression)
    assert found == result
    assert [type(value) for value in found] == [type(value) for value in result]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'a' < 1", "does not compare System.String with System.Integer"),
        ("true < false", "does not compare"),
        ("@T10:00 < @2015", "does not compare"),
        ("1 + 'a'", "'+' does not take System.Integer and System.String"),
        ("'a' * 2", "'*' does not take"),
        ("-'a'", "'-' does not take System.String"),
        ("(1 | 2) + 1", "takes one item, there are 2"),
        ("(1 | 2).single()", "found 2 items"),
        ("(1 | 2) and true", "'and' takes one item"),
        ("1.substring(0)", "substring() takes a string, not System.Integer"),
        ("'a'.substring('b')", "takes an integer"),
        ("'a'.nope()", "there is no function nope()"),
        ("'a'.substring()", "substring() takes 1 to 2 arguments, 0 are given"),
        ("1 is Nope", "there is no type Nope"),
        ("1.ofType(FHIR.Nope)", "there is no type FHIR.Nope"),
        ("'a'.matches('(')", "not a regular expression"),
        ("'a'.replaceMatches('a', '$7')", "not a substitution"),
        ("iif('x', 1, 2)", "the criterion of iif() is a boolean"),
        ("(1 | 'a').sort()", "does not order"),
        ("1.5.round(-1)", "precision of 0 or more"),
        ("(1 | 'x').allTrue()", "a boolean is needed"),
        ("true.lowBoundary()", "does not take System.Boolean"),
        ("1.comparable(2)", "takes quantities"),
        ("'a'.skip('b')", "takes an integer"),
    ],
)
def test_wrong_use_is_refused_with_its_place(expression: str, message: str) -> None:
    with pytest.raises(FhirPathError) as caught:
        evaluate({}, expression)
    assert message in caught.value.message
    assert caught.value.position is not None
