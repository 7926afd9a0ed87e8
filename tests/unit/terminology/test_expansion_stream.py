"""Very large value sets a page at a time: the same codes as when all are held."""

from typing import Any

import pytest

from fhir_server.errors import FhirError, TooCostly
from fhir_server.terminology import Terminology, expansion_pages
from fhir_server.terminology.expand import expand
from fhir_server.terminology.requests import ExpandRequest
from tests.unit.terminology.builders import (
    ANIMALS,
    animals,
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
WHOLE = {"system": ANIMALS}
TWIN = code_system("twin", "urn:twin", concept("dog"), concept("whale"), version="1")
LATER = code_system("later", "urn:twin", concept("dog"), concept("seal"), version="2")
OLD = code_system(
    "old", "urn:old", concept("a") | {"property": [{"code": "inactive", "valueBoolean": True}]}, concept("b")
)
SETS = [
    value_set("one", filtered("is-a", "mammal"), filtered("=", "flight", "moves")),
    value_set("less", WHOLE, exclude=[filtered("is-a", "dog"), concepts(ANIMALS, "tit")]),
    value_set("import", {"valueSet": ["urn:vs:one"]}, {"system": "urn:twin"}),
    value_set("both", {"valueSet": ["urn:vs:one"], "system": ANIMALS, "filter": filtered("is-a", "dog")["filter"]}),
    value_set("common", {"valueSet": ["urn:vs:one", "urn:vs:less"]}),
    value_set("gone", WHOLE, exclude=[{"valueSet": ["urn:vs:one"]}]),
    value_set("versions", {"system": "urn:twin", "version": "1"}, {"system": "urn:twin", "version": "2"}),
    value_set("other", {"system": "urn:twin", "version": "2"}, exclude=[{"system": "urn:twin", "version": "1"}]),
    value_set("listed", concepts(ANIMALS, "cat", "unheard", "dog"), WHOLE),
    value_set("active") | {"compose": {"inactive": False, "include": [{"system": "urn:old"}]}},
    value_set("given", expansion={"contains": [{"system": ANIMALS, "code": "cat"}]}),
]
NAMES = [each["id"] for each in SETS]


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as very large."""
    monkeypatch.setattr(expansion_pages, "LARGE", 0)


def service() -> Terminology:
    return terminology(TWIN, LATER, OLD, *SETS)


def expanded(name: str, **asked: Any) -> Json:
    found: Json = expand(service(), ExpandRequest.of(parameters(url=f"urn:vs:{name}", excludeNested=True, **asked)))
    return {key: value for key, value in found["expansion"].items() if key not in ("identifier", "timestamp")}


@pytest.mark.parametrize("asked", [{}, {"activeOnly": True}, {"filter": "o"}, {"count": 2, "offset": 1}, {"count": 9}])
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_holds_what_the_whole_holds(name: str, asked: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = expanded(name, **asked)
    monkeypatch.setattr(expansion_pages, "LARGE", 0)
    stream = expanded(name, **asked)
    total = stream.pop("total", whole["total"])
    assert total == whole.pop("total")
    for each in (whole, stream):
        each["parameter"].sort(key=str)
    if "filter" in asked:
        whole["contains"] = sorted(whole.get("contains", []), key=str)
        stream["contains"] = sorted(stream.get("contains", []), key=str)
    assert stream == whole


@pytest.mark.usefixtures("streaming")
def test_faults_are_found_whatever_the_page_shows() -> None:
    sets = [
        value_set("circle", WHOLE, {"valueSet": ["urn:vs:circle"]}),
        value_set("missing", WHOLE, {"valueSet": ["urn:vs:nowhere"]}),
        value_set("absent", WHOLE, {"system": "urn:absent"}),
        value_set("deep", WHOLE, exclude=[{"valueSet": ["urn:vs:missing"]}]),
    ]
    terms = terminology(*sets)
    for each in sets:
        with pytest.raises(FhirError):
            expand(terms, ExpandRequest.of(parameters(url=each["url"], count=1)))


def test_too_many_codes_are_refused_after_as_many_as_there_may_be() -> None:
    large = code_system("large", "urn:large", *(concept(str(i)) for i in range(30_000)))
    sets = value_set("x", {"system": "urn:large"}, concepts(ANIMALS, "dog"))
    terms = Terminology(library(large, animals(), sets), most_expanded=100)
    with pytest.raises(TooCostly, match=">100"):
        expand(terms, ExpandRequest.of(parameters(url="urn:vs:x")))
    page = expand(terms, ExpandRequest.of(parameters(url="urn:vs:x", count=10, offset=5)))["expansion"]
    assert [item["code"] for item in page["contains"]] == [str(i) for i in range(5, 15)]
    assert "total" not in page


@pytest.mark.usefixtures("streaming")
def test_imports_that_double_at_every_step_do_not_double_the_work() -> None:
    doubled = [
        value_set(f"{i}", {"valueSet": [f"urn:vs:{i + 1}"]}, {"valueSet": [f"urn:vs:{i + 1}"]}) for i in range(40)
    ]
    terms = terminology(*doubled, value_set("40", concepts(ANIMALS, "dog")))
    found = expand(terms, ExpandRequest.of(parameters(url="urn:vs:0", count=5)))["expansion"]
    assert [item["code"] for item in found["contains"]] == ["dog"]
