"""ISO's codes, regions of the world, states of the USA, time zones."""

import pytest

from fhir_server.terminology.code_system import Filter
from fhir_server.terminology.systems import iso, regions
from fhir_server.terminology.systems.listed import Listed


@pytest.mark.parametrize(
    ("system", "code", "display"),
    [
        (iso.countries(), "US", "United States"),
        (iso.countries(), "USA", "United States"),
        (iso.countries(), "840", "United States"),
        (iso.subdivisions(), "US-CA", "California"),
        (iso.currencies(), "EUR", "Euro"),
        (iso.languages_1(), "de", "German"),
        (iso.languages_3(), "deu", "German"),
        (iso.areas(), "150", "Europe"),
        (iso.areas(), "276", "Germany"),
        (regions.states(), "PR", "Puerto Rico"),
        (regions.states(), "AE", "Armed Forces Europe, the Middle East, and Canada"),
        (regions.zones(), "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_a_code_has_its_display(system: Listed, code: str, display: str) -> None:
    found = system.concept(code)
    assert found is not None
    assert found.display == display


@pytest.mark.parametrize(
    ("system", "code"),
    [
        *((iso.countries(), "us"), (iso.countries(), "XX"), (iso.currencies(), "EU"), (iso.languages_3(), "xxy")),
        *((regions.states(), "XX"), (regions.zones(), "Europe/Nowhere"), (iso.subdivisions(), "US")),
    ],
)
def test_others_are_no_codes(system: Listed, code: str) -> None:
    assert system.concept(code) is None


def test_the_three_kinds_of_country_codes_are_told_apart_by_expression() -> None:
    counts = [iso.countries().count([Filter("code", "regex", form)]) for form in ("[A-Z]{2}", "[A-Z]{3}", "[0-9]{3}")]
    assert counts == [249, 249, 249]


def test_other_names_of_a_country_find_it() -> None:
    assert list(iso.countries().select([], "plurinational bolivia"))[:1] == ["BO"]
    assert list(iso.countries().select([], "united states of america (the)"))[:1] == ["US"]


def test_parts_of_countries_stand_within_one_another() -> None:
    parts = iso.subdivisions()
    assert list(parts.ancestors("GB-BAS")) == ["GB-ENG"]
    assert parts.subsumes("GB-ENG", "GB-BAS")
    assert not parts.subsumes("GB-BAS", "GB-ENG")
    assert parts.parents("US-CA") == ()
    assert list(parts.select([Filter("country", "=", "LI")]))[:2] == ["LI-01", "LI-02"]


def test_regions_stand_within_one_another() -> None:
    areas = iso.areas()
    assert list(areas.ancestors("014")) == ["202", "002", "001"]
    assert areas.count([Filter("class", "=", "region")]) == 32
    assert next(iter(areas.roots())) == "001"
    assert "154" in set(areas.descendants("150"))
    assert areas.matches("014", Filter("concept", "is-a", "002"))
    assert not areas.matches("999", Filter("concept", "is-a", "002"))


def test_all_states_and_territories_are_listed() -> None:
    assert regions.states().count() == 62
