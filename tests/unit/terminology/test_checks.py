"""Is one code right: what validation asks of every coding.

Spec: https://hl7.org/fhir/R4/terminologies.html
"""

from typing import Any

import pytest

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

GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDERS = "http://hl7.org/fhir/administrative-gender"
LOINC = "http://loinc.org"


def result(service: Terminology, value_set_: str | None, system: str | None, code: str, **more: Any) -> bool | None:
    return service.check(value_set_, system, code, **more).result


def in_set(code: str, *include: dict[str, Any], system: str | None = ANIMALS, **elements: Any) -> bool | None:
    """Whether a code is in a value set that includes these."""
    pets = value_set("pets", concepts(ANIMALS, "dog", "cat"))
    return result(terminology(pets, value_set("x", *include, **elements)), "urn:vs:x", system, code)


def test_a_code_is_in_its_value_set_by_url_with_and_without_version() -> None:
    service = terminology()
    assert result(service, GENDER, GENDERS, "male") is True
    assert result(service, f"{GENDER}|4.0.1", GENDERS, "male") is True
    assert result(service, GENDER, GENDERS, "man") is False
    assert result(service, GENDER, "urn:other", "male") is False


def test_without_a_system_that_of_the_value_set_counts() -> None:
    assert result(terminology(), GENDER, None, "female") is True
    assert result(terminology(), GENDER, None, "lady") is False


def test_without_a_value_set_the_system_alone_counts() -> None:
    assert result(terminology(), None, GENDERS, "male") is True
    assert result(terminology(), None, GENDERS, "man") is False


@pytest.mark.parametrize(
    ("include", "inside", "outside"),
    [
        (filtered("is-a", "mammal"), "mammal poodle bat", "bird tit unheard"),
        (filtered("descendent-of", "mammal"), "poodle bat", "mammal bird"),
        (filtered("child-of", "mammal"), "dog bat", "poodle mammal"),
        (filtered("descendent-leaf", "mammal"), "poodle cat bat", "dog mammal"),
        (filtered("is-not-a", "mammal"), "bird tit", "mammal dog"),
        (filtered("generalizes", "poodle"), "mammal dog poodle", "cat"),
        (filtered("=", "small", "size"), "poodle cat", "dog"),
        (filtered("in", "small,any", "size"), "poodle dog", "bird"),
        (filtered("not-in", "small,any", "size"), "bird", "poodle dog"),
        (filtered("exists", "true", "size"), "dog", "bird"),
        (filtered("regex", "[bc]at", "code"), "bat cat", "dog"),
        ({"valueSet": ["urn:vs:pets"]}, "dog cat", "poodle"),
        ({"valueSet": ["urn:vs:pets"], "system": ANIMALS, "filter": filtered("is-a", "dog")["filter"]}, "dog", "cat"),
    ],
    ids=str,
)
def test_each_form_of_include_is_answered_by_look_up(include: dict[str, Any], inside: str, outside: str) -> None:
    assert [code for code in inside.split() if in_set(code, include) is not True] == []
    assert [code for code in outside.split() if in_set(code, include) is not False] == []


def test_an_exclude_takes_away() -> None:
    assert in_set("dog", {"system": ANIMALS}, exclude=[filtered("is-a", "dog")]) is False
    assert in_set("cat", {"system": ANIMALS}, exclude=[filtered("is-a", "dog")]) is True


def test_what_is_not_here_leaves_the_answer_open_and_is_named() -> None:
    found = terminology(value_set("x", {"system": LOINC})).check("urn:vs:x", LOINC, "8867-4")
    assert (found.result, found.missing) == (None, LOINC)
    assert "terminology load loinc" in found.message
    assert terminology().check("urn:nowhere", LOINC, "8867-4").missing == "urn:nowhere"
    assert terminology().check(None, GENDERS, "male", version="99").missing == f"{GENDERS}|99"


def test_a_list_of_codes_decides_without_their_system() -> None:
    listing = concepts(LOINC, "8867-4")
    assert in_set("8867-4", listing, system=LOINC) is True
    assert in_set("8302-2", listing, system=LOINC) is False
    assert in_set("8302-2", listing, {"system": LOINC}, system=LOINC) is None


def test_a_code_that_cannot_be_one_is_wrong_even_where_the_system_is_not_here() -> None:
    assert result(terminology(), None, LOINC, "8867-5") is False
    assert result(terminology(), None, LOINC, "8867-4") is None


def test_a_part_of_a_system_says_nothing_of_other_codes() -> None:
    part = code_system("p", "urn:part", concept("one"), content="fragment")
    service = terminology(part, value_set("x", {"system": "urn:part"}))
    assert [result(service, "urn:vs:x", "urn:part", code) for code in ("one", "two")] == [True, None]
    assert "a part is known" in service.check(None, "urn:part", "two").message


def test_case_counts_only_where_the_system_says_so() -> None:
    loose = code_system("l", "urn:loose", concept("Abc"), caseSensitive=False)
    service = terminology(loose, value_set("x", concepts("urn:loose", "Abc")), value_set("y", {"system": "urn:loose"}))
    assert [result(service, name, "urn:loose", "aBC") for name in ("urn:vs:x", "urn:vs:y", None)] == [True] * 3
    assert result(terminology(), None, ANIMALS, "DOG") is False


def test_inactive_codes_are_out_where_the_value_set_says_so() -> None:
    old = concept("old") | {"property": [{"code": "status", "valueCode": "retired"}]}
    system = code_system("s", "urn:s", old, concept("new"))
    sets = [value_set("all", {"system": "urn:s"}), value_set("active")]
    sets[1]["compose"] = {"inactive": False, "include": [{"system": "urn:s"}]}
    service = terminology(system, *sets)
    assert result(service, "urn:vs:all", "urn:s", "old") is True
    assert service.check("urn:vs:all", "urn:s", "old").inactive
    assert result(service, "urn:vs:active", "urn:s", "old") is False
    assert result(service, "urn:vs:active", "urn:s", "new") is True


def test_a_wrong_display_is_told_with_the_right_one_and_spaces_and_case_do_not_count() -> None:
    dog = {"code": "d", "display": "A dog", "designation": [{"language": "de", "value": "Ein Hund"}]}
    service = terminology(code_system("s", "urn:s", dog))
    wrong = service.check(None, "urn:s", "d", display="A cat")
    assert (wrong.result, wrong.display) == (True, "A dog")
    assert service.check(None, "urn:s", "d", display="A cat", language="de").display == "Ein Hund"
    for right in ("a  DOG", "ein hund"):
        assert service.check(None, "urn:s", "d", display=right).display == ""


def test_displays_that_r4_cut_at_fifty_characters_may_be_whole() -> None:
    tribes = "http://terminology.hl7.org/CodeSystem/v3-TribalEntityUS"
    whole = "Paiute-Shoshone Tribe of the Fallon Reservation and Colony, Nevada"
    assert terminology().check(None, tribes, "187", display=whole).display == ""
    assert terminology().check(None, tribes, "187", display="Paiute").display.startswith("Paiute-Shoshone")


def test_work_groups_of_today_are_not_wrong() -> None:
    system = "http://terminology.hl7.org/CodeSystem/hl7-work-group"
    assert result(terminology(), None, system, "cgp") is None
    assert result(terminology(), None, system, "oo") is True


def test_what_is_wrong_with_a_value_set_is_no_error_of_the_code() -> None:
    circle = value_set("c", {"valueSet": ["urn:vs:c"]})
    found = terminology(circle).check("urn:vs:c", ANIMALS, "dog")
    assert found.result is None
    assert "imports itself" in found.message
    catastrophic = value_set("r", filtered("regex", "(a|a)*", "code", "urn:s"))
    service = terminology(catastrophic, code_system("s", "urn:s", concept("a" * 60 + "!")))
    assert result(service, "urn:vs:r", "urn:s", "a" * 60 + "!") is None


def test_a_changed_library_has_its_own_answers() -> None:
    first = terminology(value_set("x", concepts(ANIMALS, "dog")))
    assert result(first, "urn:vs:x", ANIMALS, "cat") is False
    changed = first.with_resources([value_set("x", concepts(ANIMALS, "cat"))])
    assert result(changed, "urn:vs:x", ANIMALS, "cat") is True
    assert result(first, "urn:vs:x", ANIMALS, "cat") is False


def test_a_display_of_the_value_set_is_right_too() -> None:
    listed = {"system": ANIMALS, "concept": [{"code": "dog", "display": "Doggy"}]}
    service = terminology(value_set("x", listed))
    assert service.check("urn:vs:x", ANIMALS, "dog", display="doggy").display == ""
    assert service.check("urn:vs:x", ANIMALS, "dog", display="Puppy").display == "Doggy"


def test_displays_of_what_a_grammar_makes_are_nobodys() -> None:
    ucum = "http://unitsofmeasure.org"
    assert terminology().check(None, ucum, "mg", display="any words").display == ""
    assert result(terminology(), None, ucum, "not a unit") is False
