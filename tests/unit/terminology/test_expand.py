"""ValueSet/$expand: which codes, in which order and shape, with what said of how they came about.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from typing import Any

import pytest

from fhir_server.errors import BadRequest, FhirError, NotFound, TooCostly
from fhir_server.terminology import Terminology
from fhir_server.terminology.expand import expand
from fhir_server.terminology.requests import ExpandRequest
from tests.unit.terminology.builders import (
    ANIMALS,
    code_system,
    concept,
    concepts,
    filtered,
    library,
    parameters,
    terminology,
    value_set,
)

Json = dict[str, Any]
ALL = value_set("all", {"system": ANIMALS})


def answer(service: Terminology, value_set_: str = "urn:vs:all", languages: str = "", **asked: Any) -> Json:
    """The expansion of a value set."""
    request = ExpandRequest.of(parameters(url=value_set_, **asked), languages)
    found: Json = expand(service, request)["expansion"]
    return found


def codes(expansion: Json) -> list[str]:
    """The codes at the top."""
    return [item["code"] for item in expansion.get("contains", ())]


def tree(items: list[Json]) -> Json:
    """The codes as they nest."""
    return {item["code"]: tree(item.get("contains", [])) for item in items}


def said(expansion: Json, name: str) -> list[Any]:
    """The values of a parameter of the expansion."""
    return [
        next(item[key] for key in item if key.startswith("value"))
        for item in expansion["parameter"]
        if item["name"] == name
    ]


def problem(service: Terminology, value_set_: str, **asked: Any) -> tuple[str, str]:
    """The kind of issue that ends the request, and its text."""
    with pytest.raises(FhirError) as caught:
        answer(service, value_set_, **asked)
    details: Any = caught.value.issues[0].details
    return details["coding"][0]["code"], details["text"]


def test_a_whole_system_is_a_tree_that_counts_every_code() -> None:
    found = answer(terminology(ALL))
    assert tree(found["contains"]) == {
        "mammal": {"dog": {"poodle": {}}, "cat": {}, "bat": {}},
        "bird": {"tit": {}},
    }
    assert found["total"] == 7
    assert said(found, "used-codesystem") == [ANIMALS]


def test_without_nesting_it_is_a_list_in_the_order_of_definition() -> None:
    flat = answer(terminology(ALL), excludeNested=True)
    assert codes(flat) == ["mammal", "dog", "poodle", "cat", "bat", "tit", "bird"]
    assert all("contains" not in item for item in flat["contains"])


def test_pages_are_cut_from_the_list_and_the_total_stays() -> None:
    service = terminology(ALL)
    whole = codes(answer(service, excludeNested=True))
    pages = [answer(service, count=3, offset=start) for start in (0, 3, 6, 9)]
    assert [code for page in pages for code in codes(page)] == whole
    assert {page["total"] for page in pages} == {len(whole)}
    assert "contains" not in answer(service, count=0)
    assert said(pages[1], "offset") == [3]


def test_a_text_finds_displays_and_designations_the_best_first() -> None:
    system = code_system(
        "s",
        "urn:s",
        {"code": "1", "display": "Chronic asthma"},
        {"code": "2", "display": "Asthma"},
        {"code": "3", "display": "Wheeze", "designation": [{"language": "de", "value": "Ästhma bronchiale"}]},
        {"code": "4", "display": "Asthma, chronic"},
        {"code": "5", "display": "Fracture"},
    )
    service = terminology(system, value_set("x", {"system": "urn:s"}))
    assert codes(answer(service, "urn:vs:x", filter="asthma")) == ["2", "4", "3", "1"]
    assert set(codes(answer(service, "urn:vs:x", filter="chro asth"))) == {"1", "4"}
    assert codes(answer(service, "urn:vs:x", filter="xyz")) == []


def test_active_only_and_not_for_ui_leave_codes_out() -> None:
    old = concept("old") | {"property": [{"code": "inactive", "valueBoolean": True}]}
    group = concept("group", concept("one")) | {"property": [{"code": "notSelectable", "valueBoolean": True}]}
    service = terminology(code_system("s", "urn:s", old, group), value_set("x", {"system": "urn:s"}))
    every = answer(service, "urn:vs:x", excludeNested=True)
    assert codes(every) == ["old", "group", "one"]
    assert [item.get("inactive", False) for item in every["contains"]] == [True, False, False]
    assert [item.get("abstract", False) for item in every["contains"]] == [False, True, False]
    assert codes(answer(service, "urn:vs:x", activeOnly=True, excludeNested=True)) == ["group", "one"]
    assert codes(answer(service, "urn:vs:x", excludeNotForUI=True)) == ["old", "one"]


def test_a_code_whose_parent_is_left_out_stands_below_the_next_one_up() -> None:
    middle = concept("b", concept("c")) | {"property": [{"code": "inactive", "valueBoolean": True}]}
    service = terminology(code_system("s", "urn:s", concept("a", middle)), value_set("x", {"system": "urn:s"}))
    assert tree(answer(service, "urn:vs:x", activeOnly=True)["contains"]) == {"a": {"c": {}}}


def test_parents_in_a_circle_lose_no_code() -> None:
    system = code_system("s", "urn:s", concept("a", parent="b"), concept("b", parent="a"), concept("c", parent="a"))
    found = answer(terminology(system, value_set("x", {"system": "urn:s"})), "urn:vs:x")
    assert found["total"] == 3
    assert sorted(str(tree(found["contains"])).count(code) for code in "abc") == [1, 1, 1]


def test_the_language_that_is_asked_for_is_shown_and_the_others_are_designations() -> None:
    dog = {"code": "d", "display": "Dog", "designation": [{"language": "de", "value": "Hund"}]}
    system = code_system("s", "urn:s", dog, {"code": "c", "display": "Cat"}, language="en")
    service = terminology(system, value_set("x", {"system": "urn:s"}))

    def shown(languages: str = "", **asked: Any) -> list[Any]:
        return [item.get("display") for item in answer(service, "urn:vs:x", languages, **asked)["contains"]]

    assert shown() == shown("fr") == ["Dog", "Cat"]
    assert shown(displayLanguage="de-CH") == shown("fr;q=0.3, de;q=0.9") == ["Hund", "Cat"]
    assert shown(displayLanguage="de, *;q=0") == ["Hund", None]
    german = answer(service, "urn:vs:x", "en", displayLanguage="de", includeDesignations=True)
    assert [each["value"] for each in german["contains"][0]["designation"]] == ["Dog"]
    assert said(german, "displayLanguage") == ["de"]
    with pytest.raises(BadRequest):
        shown(displayLanguage="not a language!")


def test_designations_are_picked_by_language_or_use() -> None:
    use = {"system": "urn:uses", "code": "short"}
    named = [{"language": "de", "value": "Hund"}, {"language": "fr", "value": "Chien"}, {"use": use, "value": "D"}]
    system = code_system("s", "urn:s", {"code": "d", "display": "Dog", "designation": named})
    service = terminology(system, value_set("x", {"system": "urn:s"}))

    def picked(*tokens: str) -> list[str]:
        found = answer(service, "urn:vs:x", designation=list(tokens))["contains"][0]
        return [each["value"] for each in found.get("designation", ())]

    assert picked("urn:ietf:bcp:47|de", "urn:uses|short") == ["Hund", "D"]
    assert picked("urn:ietf:bcp:47|it") == []


def test_properties_are_shown_as_asked_with_their_uri() -> None:
    declared = [{"code": "size", "uri": "urn:size", "type": "code"}]
    system = code_system("s", "urn:s", concept("a", concept("b"), size="big"), property=declared)
    service = terminology(system, value_set("x", concepts("urn:s", "a", "b")))
    found = answer(service, "urn:vs:x", property=["size", "definition", "parent", "unheard"])
    assert found["property"] == [
        {"code": "size", "uri": "urn:size"},
        {"code": "parent", "uri": "http://hl7.org/fhir/concept-properties#parent"},
    ]
    assert found["contains"][0]["property"] == [{"code": "size", "valueCode": "big"}]
    assert found["contains"][1]["property"] == [{"code": "parent", "valueCode": "a"}]


def test_the_value_set_may_say_displays_and_order_of_its_own() -> None:
    listed = {"system": ANIMALS, "concept": [{"code": "cat", "display": "Moggy"}, {"code": "dog"}, {"code": "unheard"}]}
    found = answer(terminology(value_set("x", listed)), "urn:vs:x")
    assert [(item["code"], item.get("display")) for item in found["contains"]] == [("cat", "Moggy"), ("dog", None)]


def test_a_supplement_adds_what_the_value_set_or_the_request_asks_for() -> None:
    added = code_system(
        "added",
        "urn:added",
        {"code": "dog", "designation": [{"value": "Perro"}]},
        content="supplement",
        supplements=ANIMALS,
        language="es",
        version="2",
    )
    service = terminology(ALL, added, value_set("pets", concepts(ANIMALS, "dog")))
    assert "display" not in answer(service, "urn:vs:pets", displayLanguage="es")["contains"][0]
    found = answer(service, "urn:vs:pets", displayLanguage="es", useSupplement="urn:added")
    assert found["contains"][0]["display"] == "Perro"
    assert said(found, "used-supplement") == ["urn:added|2"]
    kind, text = problem(service, "urn:vs:pets", useSupplement="urn:gone")
    assert (kind, text) == ("not-found", "Required supplement not found: urn:gone")


def test_versions_are_pinned_defaulted_and_checked() -> None:
    old = code_system("old", "urn:s", concept("was"), version="1.0.0")
    new = code_system("new", "urn:s", concept("is"), version="1.2.0")
    pinned = value_set("pinned", {"system": "urn:s", "version": "1.2.0"})
    service = terminology(old, new, pinned, value_set("open", {"system": "urn:s"}))
    assert codes(answer(service, "urn:vs:open")) == ["is"]
    assert codes(answer(service, "urn:vs:open", system__version="urn:s|1.0.x")) == ["was"]
    assert codes(answer(service, "urn:vs:pinned", system__version="urn:s|1.0.0")) == ["is"]
    assert codes(answer(service, "urn:vs:pinned", force__system__version="urn:s|1.0.0")) == ["was"]
    kind, text = problem(service, "urn:vs:pinned", check__system__version="urn:s|1.0.x")
    assert kind == "version-error"
    assert "'1.2.0' is not allowed" in text


def test_a_text_is_not_all_that_differs_between_two_answers_that_are_kept() -> None:
    service = terminology(ALL)
    assert codes(answer(service, filter="poo")) == ["poodle"]
    assert codes(answer(service, filter="tit")) == ["tit"]
    assert answer(service)["total"] == answer(service, excludeNested=True)["total"]
    assert answer(service, exclude__system=ANIMALS)["total"] == 0


def test_resources_of_the_request_come_before_those_that_are_held() -> None:
    service = terminology(ALL)
    own = code_system("own", ANIMALS, concept("unicorn"))
    assert codes(answer(service, tx__resource=own)) == ["unicorn"]
    inline = value_set("inline", {"valueSet": ["#in"]}, contained=[value_set("in", concepts(ANIMALS, "dog"))])
    found = expand(service, ExpandRequest.of(parameters(valueSet=inline)))
    assert codes(found["expansion"]) == ["dog"]


def test_what_is_missing_is_named() -> None:
    loinc = value_set("loinc", {"system": "http://loinc.org"})
    service = terminology(loinc, value_set("import", {"valueSet": ["urn:vs:gone"]}))
    assert problem(service, "urn:vs:gone")[1] == "A definition for the value Set 'urn:vs:gone' could not be found"
    assert problem(service, "urn:vs:import")[1] == "A definition for the value Set 'urn:vs:gone' could not be found"
    assert problem(service, "urn:vs:loinc") == (
        "not-found",
        "A definition for CodeSystem 'http://loinc.org' could not be found, so the value set cannot be expanded",
    )
    with pytest.raises(NotFound):
        answer(service, "urn:vs:gone")
    with pytest.raises(BadRequest, match="no value set"):
        expand(service, ExpandRequest.of(parameters(count=1)))


def test_too_many_codes_ask_for_pages() -> None:
    large = code_system("large", "urn:large", *(concept(str(i)) for i in range(50)))
    service = Terminology(library(large, value_set("x", {"system": "urn:large"})), most_expanded=20)
    with pytest.raises(TooCostly, match=">20"):
        answer(service, "urn:vs:x")
    with pytest.raises(TooCostly, match=">20"):
        answer(service, "urn:vs:x", count=30)
    assert answer(service, "urn:vs:x", count=20)["total"] == 50


def test_a_circle_of_imports_and_a_filter_without_a_value_are_refused() -> None:
    one, two = value_set("1", {"valueSet": ["urn:vs:2"]}), value_set("2", {"valueSet": ["urn:vs:1"]})
    broken = value_set("b", {"system": ANIMALS, "filter": [{"property": "concept", "op": "is-a"}]})
    service = terminology(one, two, broken)
    assert problem(service, "urn:vs:1")[0] == "vs-invalid"
    assert problem(service, "urn:vs:b")[1].endswith("filter with property = concept, op = is-a has no value")


def test_a_catastrophic_expression_is_cut_off() -> None:
    system = code_system("s", "urn:s", concept("a" * 60 + "!"))
    service = terminology(system, value_set("r", filtered("regex", "(a|a)*", "code", "urn:s")))
    kind, text = problem(service, "urn:vs:r")
    assert kind == "too-costly"
    assert text.startswith("The regex filter '(a|a)*' took too long")


def test_a_fragment_says_that_the_expansion_is_not_whole() -> None:
    part = code_system("p", "urn:part", concept("one"), content="fragment", version="1")
    found = answer(terminology(part, value_set("x", {"system": "urn:part"})), "urn:vs:x")
    assert said(found, "used-fragment") == ["urn:part|1"]
    assert found["extension"][0]["valueBoolean"] is True


def test_the_definition_comes_along_only_where_it_is_asked_for() -> None:
    request = {"url": "urn:vs:all", "count": 0}
    plain = expand(terminology(ALL), ExpandRequest.of(parameters(**request)))
    whole = expand(terminology(ALL), ExpandRequest.of(parameters(**request, includeDefinition=True)))
    assert "compose" not in plain
    assert whole["compose"] == ALL["compose"]


def test_where_versions_do_not_count_the_latest_is_shown() -> None:
    old = code_system("old", "urn:s", {"code": "a", "display": "Old"}, concept("gone"), version="1.9")
    new = code_system("new", "urn:s", {"code": "a", "display": "New"}, version="1.10")
    merged = value_set("x", {"system": "urn:s", "version": "1.9"}, {"system": "urn:s", "version": "1.10"})
    said_ = [{"url": "name", "valueCode": "versionsMatch"}, {"url": "value", "valueBoolean": True}]
    url = "http://hl7.org/fhir/StructureDefinition/valueset-expansion-parameter"
    plain = terminology(old, new, merged)
    assert [item["version"] for item in answer(plain, "urn:vs:x")["contains"]] == ["1.9", "1.9", "1.10"]
    merged["compose"]["extension"] = [{"url": url, "extension": said_}]
    found = answer(terminology(old, new, merged), "urn:vs:x")
    assert [(item["code"], item.get("display")) for item in found["contains"]] == [("a", "New"), ("gone", None)]
    assert said(found, "versionsMatch") == [True]
