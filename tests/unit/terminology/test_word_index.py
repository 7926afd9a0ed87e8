"""The index of words finds and ranks as a look at every concept does, and belongs to the content of a resource."""

import gc
import json
import random
from typing import Any
from weakref import ref

import pytest

from fhir_server.packages import Library, entry_of
from fhir_server.terminology import Terminology
from fhir_server.terminology.code_system import Filter, NoSystems
from fhir_server.terminology.expand import expand
from fhir_server.terminology.large_systems import LARGE, MAKER, LargeSystems
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.resource_system import ResourceSystem
from fhir_server.terminology.sources import Sources

Json = dict[str, Any]
WORDS = ("asthma", "asthmatic", "acute", "Ästhetik", "bronchitis", "bron", "chronic", "non-chronic", "C1", "of", "ma")
ASKED = (
    "asthma",
    "asth",
    "thm",
    "bron",
    "bron chron",
    "acute asthma",
    "aesth",
    "asthetik",
    "c1",
    "chronic",
    "zzz",
    "  ",
)


def system_of(*concepts: Json, **more: Any) -> Json:
    return {"resourceType": "CodeSystem", "url": "urn:s", "status": "active", "content": "complete",
            "concept": list(concepts), **more}  # fmt: skip


def drawn(seed: int, number: int = 300) -> Json:
    draw = random.Random(seed)

    def text() -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 4)))

    def concept(at: int) -> Json:
        said = [{"language": draw.choice(("de", "en")), "value": text()} for _ in range(draw.randint(0, 2))]
        parent = [{"code": "parent", "valueCode": f"K{draw.randrange(at)}"}] if at else []
        return {"code": f"K{at}", "display": text(), "designation": said, "property": parent}

    return system_of(*(concept(at) for at in range(number)))


@pytest.mark.parametrize("asked", ASKED)
def test_it_finds_and_ranks_as_a_look_at_every_concept_does(asked: str) -> None:
    resource, large = drawn(1), LargeSystems(1_000)
    looked, indexed = ResourceSystem(resource), ResourceSystem(resource, b"1", large.words)
    for filters in ((), (Filter("concept", "is-a", "K1"),), (Filter("display", "regex", ".*a.*"),)):
        expected = list(looked.select(filters, asked))
        found = list(indexed.select(filters, asked))
        if asked.strip() and not filters:
            assert found == expected
        assert sorted(found) == sorted(expected) and indexed.count(filters, asked) == len(found)


def test_one_or_two_letters_are_starts_of_words() -> None:
    large = LargeSystems(1_000)
    system = ResourceSystem(
        system_of({"code": "1", "display": "Asthma"}, {"code": "2", "display": "Mania"}), b"2", large.words
    )
    assert list(system.select((), "ma")) == ["2"]
    assert list(system.select((), "sth")) == ["1"]


def grown(display: str) -> bytes:
    """A resource large enough to be indexed, in which one code has a display."""
    concepts = [{"code": f"N{at}", "display": f"Nothing number {at} of many"} for at in range(LARGE // 50)]
    return json.dumps(system_of({"code": "x", "display": display}, *concepts, valueSet="urn:v")).encode()


def service(data: bytes, large: LargeSystems) -> Terminology:
    library = Library([entry_of("CodeSystem/s", "CodeSystem", data)])
    return Terminology(library, systems=Sources(library, NoSystems(), large=large))


def codes(terminology: Terminology, filter_: str, language: str = "") -> list[str]:
    asked = [("url", "urn:v"), ("filter", filter_), ("displayLanguage", language)]
    given = {"resourceType": "Parameters",
             "parameter": [{"name": name, "valueString": value} for name, value in asked if value]}  # fmt: skip
    found = expand(terminology, ExpandRequest.of({**given, "count": 10}))
    return [each["code"] for each in found["expansion"].get("contains", ())]


def test_an_index_outlives_all_that_changes_but_its_resource() -> None:
    large = LargeSystems(1_000_000)
    before = service(grown("Asthma"), large)
    assert codes(before, "asthm") == ["x"]
    again = service(grown("Asthma"), large)
    one, other = before.system("urn:s"), again.system("urn:s")
    assert one is other and isinstance(one, ResourceSystem) and large.words(one) is large.words(one)
    changed = service(grown("Fracture"), large)
    assert (codes(changed, "asthm"), codes(changed, "fract"), codes(before, "asthm")) == ([], ["x"], ["x"])


def test_more_than_may_be_held_is_made_again_and_answers_all_the_same() -> None:
    large = LargeSystems(LARGE // 50 + 10)  # room for one
    one, other = service(grown("Asthma"), large), service(grown("Fracture"), large)
    for _ in range(2):
        assert (codes(one, "asthm"), codes(other, "fractu")) == (["x"], ["x"])


def test_what_was_asked_for_is_made_again_before_anybody_asks() -> None:
    large = LargeSystems(1_000_000)
    assert codes(service(grown("Asthma"), large), "asthm") == ["x"]
    after = entry_of("CodeSystem/s", "CodeSystem", grown("Fracture"))
    large.prepare([after])
    MAKER.submit(lambda: None).result()
    made = large.read(after.data, lambda: pytest.fail("it was not read before"))
    assert list(made.select((), "fractu")) == ["x"]


def test_what_is_stored_is_read_before_a_check_has_to_wait_for_it() -> None:
    large, there = LargeSystems(1_000_000), entry_of("CodeSystem/s", "CodeSystem", grown("Asthma"))
    small = entry_of("CodeSystem/t", "CodeSystem", b'{"resourceType": "CodeSystem", "url": "urn:t"}')
    large.prepare([there, small])
    MAKER.submit(lambda: None).result()
    assert large.read(there.data, lambda: pytest.fail("it was not read before")).concept("x") is not None
    none = LargeSystems(10)
    none.prepare([there])  # there is no room
    MAKER.submit(lambda: None).result()
    assert none.read(there.data, there.parse).concept("x") is not None


def test_what_is_shown_in_the_language_that_is_asked_for_comes_first() -> None:
    german = [{"language": "de", "value": "Asthma bronchiale"}]
    data = system_of(
        {"code": "1", "display": "Asthma", "designation": [{"language": "de", "value": "Atemnot"}]},
        {"code": "2", "display": "Bronchial disease", "designation": german},
        valueSet="urn:v", language="en",
    )  # fmt: skip
    library = Library([entry_of("CodeSystem/s", "CodeSystem", json.dumps(data).encode())])
    terminology = Terminology(library, systems=NoSystems())
    assert codes(terminology, "asthma") == ["1", "2"]
    assert codes(terminology, "asthma", "de") == ["2", "1"]


def test_what_a_system_was_before_is_let_go_when_it_is_replaced() -> None:
    large = LargeSystems(1_000_000)

    def read(display: str, url: str = "http://a.example/s") -> "ref[ResourceSystem]":
        resource = {"resourceType": "CodeSystem", "url": url, "concept": [{"code": "a", "display": display}]}
        return ref(large.read(json.dumps(resource).encode(), lambda: resource))

    before, other, after = read("one"), read("two", "http://a.example/other"), read("three")
    gc.collect()
    assert before() is None
    assert other() is not None and after() is not None
