"""Value sets in each of the forms that ValueSet.compose has.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

from typing import Any

import pytest

from fhir_server.errors import BadValue, TooCostly
from fhir_server.search.query import TokenValue
from fhir_server.terminology import Terminology
from tests.unit.terminology.builders import (
    ANIMALS,
    code_system,
    concept,
    concepts,
    filtered,
    terminology,
    value_set,
)

PETS = value_set("pets", concepts(ANIMALS, "dog", "cat"))
HL7 = "http://hl7.org/fhir/ValueSet"


def codes(service: Terminology, value_set_: str) -> list[str]:
    """The codes in order, a whole system as `system|`."""
    return sorted(value.code or f"{value.system}|" for value in service.codes_in(value_set_))


def expanded(*include: dict[str, Any], **elements: Any) -> list[str]:
    """The codes of a value set that includes these."""
    return codes(terminology(PETS, value_set("x", *include, **elements)), "urn:vs:x")


def test_listed_concepts_have_their_system() -> None:
    assert list(terminology(PETS).codes_in("urn:vs:pets")) == [TokenValue(ANIMALS, "dog"), TokenValue(ANIMALS, "cat")]


def test_a_value_set_is_found_by_its_reference_too() -> None:
    assert codes(terminology(PETS), "ValueSet/pets") == ["cat", "dog"]


def test_a_version_is_the_one_named_else_the_latest() -> None:
    nine = value_set("a", concepts(ANIMALS, "cat"), url="urn:v", version="1.9.0")
    ten = value_set("b", concepts(ANIMALS, "dog"), url="urn:v", version="1.10.0")
    service = terminology(ten, nine)
    assert codes(service, "urn:v|1.9.0") == ["cat"]
    assert codes(service, "urn:v|1.10.0") == codes(service, "urn:v") == ["dog"]
    with pytest.raises(BadValue, match=r"urn:v\|2"):
        service.codes_in("urn:v|2")


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ({"system": ANIMALS}, "bat bird cat dog mammal poodle tit"),
        (filtered("is-a", "mammal"), "bat cat dog mammal poodle"),
        (filtered("is-a", "dog", "code"), "dog poodle"),
        (filtered("descendent-of", "mammal"), "bat cat dog poodle"),
        (filtered("is-not-a", "mammal"), "bird tit"),
        (filtered("generalizes", "poodle"), "dog mammal poodle"),
        (filtered("=", "dog"), "dog"),
        (filtered("=", "dog", "code"), "dog"),
        (filtered("=", "unheard"), ""),
        (filtered("=", "mammal", "parent"), "bat cat dog"),
        (filtered("=", "poodle", "child"), "dog"),
        (filtered("=", "flight", "moves"), "bat tit"),
        (filtered("in", "dog, cat,unheard"), "cat dog"),
        (filtered("in", "dog,bird", "parent"), "poodle tit"),
        (filtered("not-in", "small,any", "size"), "bat bird mammal tit"),
        (filtered("exists", "true", "size"), "cat dog poodle"),
        (filtered("exists", "false", "size"), "bat bird mammal tit"),
        ({"valueSet": ["urn:vs:pets"]}, "cat dog"),
        ({"valueSet": ["ValueSet/pets"], "system": ANIMALS, "filter": filtered("is-a", "dog")["filter"]}, "dog"),
    ],
    ids=str,
)
def test_an_include_selects(include: dict[str, Any], found: str) -> None:
    assert expanded(include) == found.split()


def test_filters_hold_together_and_includes_add_up() -> None:
    both = {
        "system": ANIMALS,
        "filter": [*filtered("is-a", "mammal")["filter"], *filtered("=", "small", "size")["filter"]],
    }
    assert expanded(both) == ["cat", "poodle"]
    assert expanded(both, concepts(ANIMALS, "tit"), concepts("urn:other", "cat")) == ["cat", "cat", "poodle", "tit"]


def test_an_exclude_takes_away_in_every_form() -> None:
    whole = {"system": ANIMALS}
    assert expanded(whole, exclude=[filtered("is-a", "mammal")]) == ["bird", "tit"]
    assert expanded(whole, exclude=[concepts(ANIMALS, "tit"), {"valueSet": ["urn:vs:pets"]}]) == [
        "bat", "bird", "mammal", "poodle",
    ]  # fmt: skip
    assert expanded(whole, exclude=[whole]) == []


def test_a_system_that_nobody_can_list_is_one_value() -> None:
    loinc = {"system": "http://loinc.org"}
    found = terminology(value_set("x", loinc)).codes_in("urn:vs:x")
    assert list(found) == [TokenValue("http://loinc.org", None)]
    named = value_set("named", concepts("http://loinc.org", "1-8"), concepts(ANIMALS, "dog"))
    common = value_set("common", loinc | {"valueSet": ["urn:vs:named"]})
    service = terminology(named, common, value_set("less", {"valueSet": ["urn:vs:named"]}, exclude=[loinc]))
    assert codes(service, "urn:vs:common") == ["1-8"]
    assert codes(service, "urn:vs:less") == ["dog"]


def test_what_needs_the_codes_of_an_unknown_system_is_refused_by_its_name() -> None:
    by_filter = value_set("a", filtered("is-a", "1-8", system="http://loinc.org"))
    less = value_set("b", {"system": "http://loinc.org"}, exclude=[concepts("http://loinc.org", "1-8")])
    service = terminology(by_filter, less)
    for name in ("urn:vs:a", "urn:vs:b"):
        with pytest.raises(BadValue, match=r"http://loinc\.org"):
            service.codes_in(name)


def test_a_code_system_without_its_codes_is_as_if_unknown() -> None:
    empty = code_system("l", "http://loinc.org", content="not-present")
    part = code_system("p", "urn:part", concept("one"), content="fragment")
    service = terminology(
        empty,
        part,
        value_set("x", filtered("is-a", "1", system="http://loinc.org")),
        value_set("y", {"system": "urn:part"}),
    )
    with pytest.raises(BadValue, match="could not be found"):
        service.codes_in("urn:vs:x")
    assert codes(service, "urn:vs:y") == ["urn:part|"]


def test_a_version_of_a_code_system_is_taken_where_it_is_there() -> None:
    old = code_system("old", "urn:s", concept("was"), version="1")
    new = code_system("new", "urn:s", concept("is"), version="2")
    sets = [value_set(version, {"system": "urn:s", "version": version}) for version in ("1", "2", "3")]
    service = terminology(old, new, *sets)
    assert [codes(service, f"urn:vs:{version}") for version in ("1", "2", "3")] == [["was"], ["is"], ["is"]]


def test_an_expansion_stands_in_where_nothing_else_is_known() -> None:
    inner = {"system": "urn:s", "code": "b", "contains": [{"system": "urn:s", "code": "c"}]}
    expansion = {"contains": [{"abstract": True, "code": "a", "system": "urn:s", "contains": [inner]}]}
    assert expanded(expansion=expansion) == ["b", "c"]
    unknown = filtered("is-a", "1", system="http://snomed.info/sct")
    assert expanded(unknown, expansion=expansion) == ["b", "c"]
    assert expanded(concepts("urn:s", "z"), expansion=expansion) == ["z"]


def test_a_part_of_an_expansion_is_not_taken_for_the_whole() -> None:
    with pytest.raises(BadValue, match="whole expansion"):
        expanded(expansion={"total": 2, "contains": [{"system": "urn:s", "code": "b"}]})
    with pytest.raises(BadValue, match="whole expansion"):
        expanded()


def test_value_sets_that_import_one_another_in_a_circle_are_refused() -> None:
    one, two = value_set("1", {"valueSet": ["urn:vs:2"]}), value_set("2", {"valueSet": ["ValueSet/1"]})
    with pytest.raises(BadValue, match="imports itself"):
        terminology(one, two).codes_in("urn:vs:1")


def test_imports_are_followed_a_long_way_but_not_for_ever() -> None:
    row = [value_set(f"{i}", {"valueSet": [f"urn:vs:{i + 1}"]}) for i in range(60)]
    service = terminology(*row, value_set("60", concepts(ANIMALS, "dog")))
    assert codes(service, "urn:vs:20") == ["dog"]
    with pytest.raises(TooCostly, match="more than 50"):
        service.codes_in("urn:vs:0")


def test_imports_that_double_at_every_step_are_expanded_once_each() -> None:
    doubled = [
        value_set(f"{i}", {"valueSet": [f"urn:vs:{i + 1}"]}, {"valueSet": [f"urn:vs:{i + 1}"]}) for i in range(40)
    ]
    assert codes(terminology(*doubled, value_set("40", concepts(ANIMALS, "dog"))), "urn:vs:0") == ["dog"]


def test_too_many_codes_are_too_costly() -> None:
    many = value_set("many", concepts(ANIMALS, *map(str, range(11))))
    assert len(terminology(many, most=11).codes_in("urn:vs:many")) == 11
    with pytest.raises(TooCostly, match="more than 10 codes"):
        terminology(many, most=10).codes_in("urn:vs:many")


def test_too_much_work_is_too_costly_even_where_little_comes_of_it() -> None:
    large = code_system("large", "urn:large", *(concept(str(i)) for i in range(5_000)))
    tests = value_set("tests", *[filtered("=", "1", system="urn:large")] * 300)
    with pytest.raises(TooCostly, match="looked at"):
        terminology(large, tests).codes_in("urn:vs:tests")


def test_a_filter_that_is_not_supported_is_named() -> None:
    with pytest.raises(BadValue, match="'display' 'like'"):
        expanded(filtered("like", "d*", "display"))
    with pytest.raises(BadValue, match="cannot be read"):
        expanded(filtered("regex", "(a", "display"))
    with pytest.raises(BadValue, match="'is-a'"):
        expanded(filtered("is-a", "dog", "moves"))


def test_an_include_of_nothing_is_refused() -> None:
    with pytest.raises(BadValue, match="without saying"):
        expanded({"concept": [{"code": "dog"}]})


def test_the_value_sets_of_r4_are_there_and_the_store_goes_before_them() -> None:
    gender = f"{HL7}/administrative-gender"
    assert (
        codes(terminology(), gender)
        == codes(terminology(), f"{gender}|4.0.1")
        == ["female", "male", "other", "unknown"]
    )
    own = value_set("g", concepts("urn:g", "x"), url=gender)
    assert codes(terminology(own), gender) == ["x"]
    assert codes(terminology(), f"{HL7}/observation-codes") == ["http://loinc.org|"]
    assert {"CHF", "JPY"} <= set(codes(terminology(), f"{HL7}/currencies"))
    for unknown in (f"{gender}|5.0.0", f"{HL7}/nothing"):
        with pytest.raises(BadValue, match="there is no value set"):
            terminology().codes_in(unknown)


def test_the_value_sets_of_r4_can_be_imported() -> None:
    gender = {"valueSet": [f"{HL7}/administrative-gender"]}
    system = "http://hl7.org/fhir/administrative-gender"
    assert expanded(gender, exclude=[concepts(system, "other", "unknown")]) == ["female", "male"]


@pytest.mark.parametrize("rubbish", [{"compose": []}, {"compose": {"include": "x"}}, {"compose": {"include": [7]}}])
def test_rubbish_that_was_stored_unchecked_is_refused(rubbish: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        terminology(value_set("x") | rubbish).codes_in("urn:vs:x")
    assert codes(terminology(PETS, value_set("y") | {"url": 7, "version": []}), "urn:vs:pets") == ["cat", "dog"]
