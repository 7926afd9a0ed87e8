"""`_filter`: grammar, order of evaluation, errors with their place."""

from typing import Any

import pytest

from fhir_server.errors import BadRequest, BadValue, TooCostly, UnknownParameter
from fhir_server.search import query as q
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import parse_search
from fhir_server.settings import Settings


def parse(text: str, type_: str = "Patient") -> q.Node:
    parsed = parse_search(
        (("_filter", text),),
        types=(type_,),
        registry=ParameterRegistry.standard(),
        settings=Settings.model_validate({}),
        visibility=q.Visibility(),
        now=0,
    )
    return parsed.search.branches[type_]


def male() -> q.Node:
    return q.Token("gender", (q.TokenValue(None, "male"),))


def name(value: str, mode: q.StringMode = q.StringMode.EQUALS) -> q.Node:
    return q.String("name", mode, (value,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gender eq male", male()),
        ("  gender   eq\tmale ", male()),
        ("(gender eq male)", male()),
        ("((gender eq male))", male()),
        ("not(gender eq male)", q.Not(male())),
        ("not (gender eq male)", q.Not(male())),
        ('name eq "John Smith)"', name("john smith")),
        ('name eq "a \\"b\\" \\u0063"', name("a b c")),
        ("name co x", name("x", q.StringMode.CONTAINS)),
        ("name sw x", name("x", q.StringMode.STARTS)),
        ("name ew x", name("x", q.StringMode.ENDS)),
        ("gender eq male and name eq a", q.And((male(), name("a")))),
        ("name eq a or name eq b or name eq c", q.Or((name("a"), name("b"), name("c")))),
        ("(name eq a or name eq b) or name eq c", q.Or((q.Or((name("a"), name("b"))), name("c")))),
        ("gender eq male or name eq a and name eq b", q.And((q.Or((male(), name("a"))), name("b")))),
        ("gender eq male and name eq a or name eq b", q.Or((q.And((male(), name("a"))), name("b")))),
        ("gender eq male or (name eq a and name eq b)", q.Or((male(), q.And((name("a"), name("b")))))),
        ("not(gender eq male) and name eq a", q.And((q.Not(male()), name("a")))),
        ("gender pr true", q.Missing("gender", False)),
        ("gender pr false", q.Missing("gender", True)),
        ("gender ne male", q.And((q.Missing("gender", False), q.Not(male())))),
        ("id eq x", q.Ids(("x",))),
        ("_id eq x", q.Ids(("x",))),
        ("organization.name eq x", q.Chain("organization", "Organization", name("x"))),
        (
            "organization[active eq true].name eq x",
            q.Chain(
                "organization", "Organization", q.And((q.Token("active", (q.TokenValue(None, "true"),)), name("x")))
            ),
        ),
        (
            "organization[name eq a or name eq b].partof.name eq x",
            q.Chain(
                "organization",
                "Organization",
                q.And((q.Or((name("a"), name("b"))), q.Chain("partof", "Organization", name("x")))),
            ),
        ),
        (
            "_has:Observation:patient:status eq final",
            q.Has("Observation", "patient", q.Token("status", (q.TokenValue(None, "final"),))),
        ),
    ],
)
def test_a_filter_is_read_as(text: str, expected: q.Node) -> None:
    assert parse(text) == expected


def test_ordered_operators_are_prefixes() -> None:
    for operator in ("gt", "lt", "ge", "le", "sa", "eb", "ap", "ne"):
        found = parse(f"birthdate {operator} 2000")
        assert isinstance(found, q.Date)
        assert found.values[0].prefix == operator


def test_period_overlap_is_not_widened() -> None:
    found = parse("birthdate po 1970")
    assert found == q.Date("birthdate", (q.DateValue(q.Prefix.AP, 0, 31_536_000_000_000),))


def test_known_systems_have_short_names() -> None:
    assert parse("code eq loinc|1", "Observation") == q.Token("code", (q.TokenValue("http://loinc.org", "1"),))


def test_a_comma_is_a_part_of_the_value() -> None:
    assert parse('name eq "a,b"') == name("a b")
    assert parse("identifier eq a,b") == q.Token("identifier", (q.TokenValue(None, "a,b"),))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", BadValue, "character 1"),
        ("gender", BadValue, "operator"),
        ("gender eq", BadValue, "value"),
        ("gender eq male and", BadValue, "character 19"),
        ("gender eq male name eq x", BadValue, "character 16"),
        ("gender eq male)", BadValue, "character 15"),
        ("(gender eq male", BadValue, "`)`"),
        ("not gender eq male", BadValue, "`(`"),
        ('name eq "x', BadValue, "quotation"),
        ('name eq "\\x"', BadValue, "JSON"),
        ('name eq "\\ud800"', BadValue, "JSON"),
        ("gender eq )", BadValue, "value"),
        ("gender xx male", UnknownParameter, "xx"),
        ("foo eq male", UnknownParameter, "foo"),
        ("organization.foo eq male", UnknownParameter, "foo"),
        ("gender.name eq male", UnknownParameter, "not a reference"),
        ("gender gt male", BadValue, "gt"),
        ("name gt x", BadValue, "gt"),
        ("birthdate eq x", BadValue, "birthdate"),
        ("birthdate co 2000", BadValue, "co"),
        ("gender pr maybe", BadValue, "true or false"),
        ("organization[active eq true] eq x", BadValue, "`.`"),
        ("organization[active eq true.name eq x", BadValue, "`]`"),
        ("organization[].name eq x", BadValue, "search parameter"),
        ("gender in http://x", UnknownParameter, "terminology"),
        ("and eq x", UnknownParameter, "and"),
        (".name eq x", BadValue, "search parameter"),
        ("name. eq x", BadValue, "search parameter"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, error: type[BadRequest], words: str) -> None:
    with pytest.raises(error) as caught:
        parse(text)
    assert words in str(caught.value)


def test_filters_have_limits() -> None:
    deep: Any = "(" * 25 + "gender eq male" + ")" * 25
    with pytest.raises(TooCostly):
        parse(deep)
    with pytest.raises(TooCostly):
        parse(" or ".join(["gender eq male"] * 501))
    with pytest.raises(TooCostly):
        parse(" and ".join(["gender eq male or gender eq female"] * 30))
