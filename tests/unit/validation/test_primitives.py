"""Which values each primitive type accepts."""

import re
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.definitions import load
from fhir_server.validation.structure.primitives import ELEMENT_ID, MAX_STRING, PRIMITIVES
from tests.unit.validation.builders import check, only_issue, patient

GOOD: dict[str, tuple[Any, ...]] = {
    "base64Binary": ("QQ==", "QUI=", "QUJD", "QU JD", "QUJD\r\nQUJD", " QUJD "),
    "boolean": (True, False),
    "canonical": ("http://hl7.org/fhir/ValueSet/x|4.0.1", "#a", "x"),
    "code": ("a", "a b", "a-b c", "é", "<"),
    "date": ("0001", "9999", "2024-02", "2024-02-29", "2000-02-29"),
    "dateTime": (
        *("2024", "2024-02", "2024-02-29", "2024-02-29T23:59:60Z", "2015-02-07T13:28:17.239+02:00"),
        *("2015-02-07T13:28:17-05:00", "2015-02-07T00:00:00+14:00", "2015-02-07T13:28:17.123456789012Z"),
    ),
    "decimal": (0, -1, Decimal("1.20"), Decimal("1E-22"), Decimal("-0.0"), 10**30),
    "id": ("a", "A.b-9", "a" * 64),
    "instant": ("2015-02-07T13:28:17.239+02:00", "2017-01-01T00:00:00Z"),
    "integer": (0, -(2**31), 2**31 - 1),
    "markdown": ("# a\n\tb\r\n", " x "),
    "oid": ("urn:oid:1.2.3.4.5", "urn:oid:2.0"),
    "positiveInt": (1, 2**31 - 1),
    "string": ("a", " a ", "!", "\u00a0", "é", "😀", "\u0378", "a\tb", "a\u007f", "a" * MAX_STRING),
    "time": ("00:00:00", "23:59:59.999", "12:00:60"),
    "unsignedInt": (0, 2**31 - 1),
    "uri": ("http://x.org/a?b=c", "urn:oid:1.2", "a", "é", "\u0378"),
    "url": ("http://x.org", "mailto:a@x.org"),
    "uuid": ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520",),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml">a</div>',),
}
BAD: dict[str, tuple[Any, ...]] = {
    "base64Binary": ("", " ", "Q", "QQ", "QQ=", "Q===", "QQ==QQ==", "QUJ$", "QUJDé", "Q=JD", "====", 5),
    "boolean": (1, 0, "true", None, Decimal(1), Decimal(0)),
    "canonical": ("", "a b", " a", 1),
    "code": ("", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\u00a0b", 1, True, []),
    "date": (
        *("", "0000", "24", "2024-13", "2024-00", "2024-2-1", "2023-02-29", "1900-02-29", "2024-04-31", "2024-06-00"),
        *(
            "2024-06-1",
            "2024-W01-1",
            "20240101",
            "2024-01-01T00:00:00Z",
            "2024-01-01 ",
            "٢٠٢٤",
            "2024-01-32",
            2024,
            True,
        ),
    ),
    "dateTime": (
        *("2024-02-30T00:00:00Z", "2024-02-28T24:00:00Z", "2024-02-28T10:00Z", "2024-02-28T10:00:00"),
        *("2024-02-28T10:00:00+15:00", "2024-02-28T10:00:00+14:30", "2024-02-28 10:00:00Z", "2024-02-28T10:00:00z"),
        *("2024-02T10:00:00Z", "2024-02-28T10:00:61Z", "2024-02-28T10:00:00.Z", "2024-02-28T10:00:00+0200", "x", 2024),
        *("2024-02-28T10:60:00Z", "2024-02-28T10:00:00Z\n"),
    ),
    "decimal": ("1", "1.0", True, None, Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf")),
    "id": ("", "a_b", "a b", "a" * 65, "é", "a/b", "a\n", 1),
    "instant": ("2015-02-07", "2015-02-07T13:28:17", "2015-02-30T13:28:17Z", "2015", 1),
    "integer": (2**31, -(2**31) - 1, Decimal("1.0"), 1.0, "1", True),
    "markdown": ("", " \n", "\x00", 1),
    "oid": ("1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.02", "urn:oid:1.2.", 1),
    "positiveInt": (0, -1, 2**31, Decimal("1"), True, "1"),
    "string": (
        "",
        " ",
        "\t\r\n ",
        "a\x00",
        "a\x0bb",
        "a\x1f",
        "\ud800",
        "\ufffe",
        "a\uffff",
        "a" * (MAX_STRING + 1),
        1,
        None,
    ),
    "time": ("24:00:00", "12:00", "12:00:00Z", "1:00:00", "12:60:00", 12),
    "unsignedInt": (-1, 2**31, Decimal("0"), False),
    "uri": ("", " ", "a b", "a\nb", "a\u00a0b", "\x01", 1),
    "url": ("", "http://x y", 1),
    "uuid": ("c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520", "urn:uuid:x", 1),
    "xhtml": ("", "<div>a</div>", "a", 1),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_good_value_is_accepted(name: str, value: Any) -> None:
    assert PRIMITIVES[name].accepts(value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_value_is_refused_with_a_reason(name: str, value: Any) -> None:
    assert not PRIMITIVES[name].accepts(value)
    assert 10 < len(PRIMITIVES[name].fault(value)) < 400


def test_every_primitive_type_of_r4_is_known() -> None:
    names = {name for name, definition in load().types.items() if definition.kind == "primitive-type"}
    assert names == set(PRIMITIVES) == set(GOOD) == set(BAD)


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"xhtml", "base64Binary", "string", "markdown", "boolean"}))
def test_good_value_matches_the_published_regex(name: str) -> None:
    regex = re.compile(load().types[name].regex or "")
    assert all(regex.fullmatch(str(value)) for value in GOOD[name])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2023-02-29", "2023-02 has no day 29"),
        ("2024-04-31", "2024-04 has no day 31"),
        ("2024-04-00", "2024-04 has no day 0"),
        ("25/12/1974", "expected YYYY, YYYY-MM or YYYY-MM-DD"),
    ],
)
def test_date_that_does_not_exist_is_said_to_be_one(value: str, reason: str) -> None:
    assert reason in PRIMITIVES["date"].fault(value)


def test_time_without_a_zone_is_told_to_take_one() -> None:
    assert "a time needs a zone" in PRIMITIVES["dateTime"].fault("2024-01-01T10:00:00")
    assert "hours run from 00 to 23" in PRIMITIVES["time"].fault("24:00:00")


def test_wrong_json_type_is_named_with_the_right_one() -> None:
    assert PRIMITIVES["boolean"].fault("true") == "expected true or false (boolean: without quotes), found a string"
    assert "expected a number" in PRIMITIVES["decimal"].fault("1")
    assert "found an object" in PRIMITIVES["code"].fault({})
    assert "found null" in PRIMITIVES["code"].fault(None)
    assert "found a list" in PRIMITIVES["date"].fault([])


def test_free_text_is_not_quoted_in_a_message() -> None:
    assert "secret" not in PRIMITIVES["string"].fault("secret\x00")
    assert "secret" not in PRIMITIVES["base64Binary"].fault("secret")


def test_message_quotes_no_more_than_the_start_of_a_value() -> None:
    message = PRIMITIVES["id"].fault("x" * 1_000_000)
    assert len(message) < 200
    assert "\n" not in PRIMITIVES["id"].fault("a\nb\x00\u202e")


def test_number_of_many_digits_has_a_short_message() -> None:
    assert PRIMITIVES["positiveInt"].fault(10**10_000).startswith("a very large number is not a valid positiveInt")
    assert PRIMITIVES["positiveInt"].fault(-5).startswith("-5 is not a valid positiveInt")
    assert len(PRIMITIVES["integer"].fault(Decimal("1" * 100_000))) < 200


def test_id_of_an_element_may_have_any_form_but_no_white_space() -> None:
    assert ELEMENT_ID.accepts("a_b#1")
    assert not ELEMENT_ID.accepts("a b")
    assert check(patient(name=[{"id": "a_b", "family": "A"}])) == []
    assert only_issue(patient(name=[{"id": "a b", "family": "A"}])).expression == ("Patient.name[0].id",)
