"""$translate and $closure."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.http.operated import Json, operated, parameters, parts_of, said
from tests.conformance.http.test_operations_lookup import ORGANS, URL

A, B = "http://example.org/a", "http://example.org/b"


def concept_map(name: str, *groups: Json, **elements: Any) -> Json:
    url = f"http://example.org/ConceptMap/{name}"
    return {"resourceType": "ConceptMap", "id": name, "url": url, "status": "active", "group": list(groups), **elements}


def mapping(code: str, *targets: Json) -> Json:
    return {"code": code, "target": list(targets)}


MAIN = concept_map(
    "main",
    {
        "source": A, "target": B,
        "element": [
            mapping("one", {"code": "1", "display": "One", "equivalence": "equivalent"}),
            mapping(
                "two",
                {"code": "2", "equivalence": "wider"},
                {"code": "2.1", "equivalence": "narrower", "comment": "a part"},
            ),
            mapping("none", {"equivalence": "unmatched", "comment": "there is none"}),
            mapping("if", {
                "code": "then", "equivalence": "equal",
                "dependsOn": [{"property": "http://example.org/sex", "system": "urn:sex", "value": "f"}],
                "product": [{"property": "http://example.org/unit", "system": "urn:unit", "value": "mg"}],
            }),
        ],
    },
    version="1.0",
    sourceUri="http://example.org/ValueSet/a",
    targetUri="http://example.org/ValueSet/b",
)  # fmt: skip


def unmapped(name: str, **rule: str) -> Json:
    element = mapping("x", {"code": "X", "equivalence": "equal"})
    return concept_map(name, {"source": A, "target": B, "element": [element], "unmapped": rule})


def map_url(name: str) -> str:
    return f"http://example.org/ConceptMap/{name}"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        maps = [
            MAIN,
            unmapped("fixed", mode="fixed", code="other", display="Other"),
            unmapped("provided", mode="provided"),
            unmapped("chain", mode="other-map", url=map_url("main")),
            unmapped("circle", mode="other-map", url=map_url("circle")),
        ]
        for each in [*maps, ORGANS]:
            answer = await client.put(f"{each['resourceType']}/{each['id']}", json=each)
            assert answer.status_code == 201, answer.text
        yield client


async def translated(http: httpx.AsyncClient, query: str) -> tuple[bool, list[tuple[str, str]], Json]:
    """The result, its matches as pairs of equivalence and code, and the whole answer."""
    answer = await http.get(f"ConceptMap/{query}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    matches = [parts_of(each) for each in found["parameter"] if each["name"] == "match"]
    pairs = [(each["equivalence"], each["concept"]["code"] if "concept" in each else "") for each in matches]
    return found["parameter"][0]["valueBoolean"], pairs, found


async def test_a_code_is_translated_by_the_map_that_is_named(http: httpx.AsyncClient) -> None:
    result, pairs, answer = await translated(http, f"$translate?url={map_url('main')}&system={A}&code=one")
    assert result is True
    assert pairs == [("equivalent", "1")]
    match = parts_of(answer["parameter"][1])
    assert match["concept"] == {"system": B, "code": "1", "display": "One"}
    assert match["source"] == f"{map_url('main')}|1.0"


async def test_a_code_is_translated_by_the_map_of_the_url(http: httpx.AsyncClient) -> None:
    assert (await translated(http, f"main/$translate?system={A}&code=two"))[:2] == (
        True,
        [("wider", "2"), ("narrower", "2.1")],
    )


async def test_maps_are_found_by_systems_and_value_sets(http: httpx.AsyncClient) -> None:
    of_sets = "source=http://example.org/ValueSet/a&target=http://example.org/ValueSet/b"
    result, pairs, _ = await translated(http, f"$translate?system={A}&code=two&{of_sets}")
    assert (result, ("wider", "2") in pairs) == (True, True)
    assert (await translated(http, f"$translate?system={A}&code=two&source=http://example.org/ValueSet/c"))[1] == [
        ("relatedto", "other"), ("equivalent", "two"), ("wider", "2"), ("narrower", "2.1"),
    ]  # fmt: skip
    assert (await translated(http, f"$translate?system={A}&code=two&targetsystem=urn:none"))[0] is False


async def test_what_is_unmatched_is_told_and_no_translation(http: httpx.AsyncClient) -> None:
    result, pairs, answer = await translated(http, f"$translate?url={map_url('main')}&system={A}&code=none")
    assert (result, pairs) == (False, [("unmatched", "")])
    assert "has no translation" in answer["parameter"][1]["valueString"]


async def test_translation_backwards(http: httpx.AsyncClient) -> None:
    result, pairs, _ = await translated(http, f"$translate?url={map_url('main')}&system={B}&code=2&reverse=true")
    assert (result, pairs) == (True, [("narrower", "two")])


@pytest.mark.parametrize(
    ("name", "code", "pairs"),
    [
        ("fixed", "y", [("relatedto", "other")]),
        ("provided", "y", [("equivalent", "y")]),
        ("chain", "one", [("equivalent", "1")]),
        ("chain", "x", [("equal", "X")]),
        ("circle", "y", []),
    ],
)
async def test_codes_that_a_map_does_not_have(
    http: httpx.AsyncClient, name: str, code: str, pairs: list[tuple[str, str]]
) -> None:
    result, found, _ = await translated(http, f"$translate?url={map_url(name)}&system={A}&code={code}")
    assert (result, found) == (bool(pairs), pairs)


async def test_dependencies_have_to_be_known(http: httpx.AsyncClient) -> None:
    assert (await translated(http, f"$translate?url={map_url('main')}&system={A}&code=if"))[0] is False
    asked = parameters(url__uri=map_url("main"), system__uri=A, code__code="if")
    known = {"coding": [{"system": "urn:sex", "code": "f"}]}
    parts = [
        {"name": "element", "valueUri": "http://example.org/sex"},
        {"name": "concept", "valueCodeableConcept": known},
    ]
    asked["parameter"].append({"name": "dependency", "part": parts})
    found = (await http.post("ConceptMap/$translate", json=asked)).json()["parameter"]
    assert found[0]["valueBoolean"] is True
    product = next(part for part in found[1]["part"] if part["name"] == "product")
    assert parts_of(product) == {"element": "http://example.org/unit", "concept": {"system": "urn:unit", "code": "mg"}}


async def test_each_coding_of_a_concept_is_translated_by_a_map_in_the_call(http: httpx.AsyncClient) -> None:
    concept = {"coding": [{"system": A, "code": "nothing"}, {"system": A, "code": "one"}]}
    asked = parameters(conceptMap=MAIN, codeableConcept__CodeableConcept=concept)
    found = (await http.post("ConceptMap/$translate", json=asked)).json()["parameter"]
    assert [each["name"] for each in found] == ["result", "match"]


async def test_who_asks_in_r5_is_answered_in_r5(http: httpx.AsyncClient) -> None:
    asked = parameters(url__uri=map_url("main"), system__uri=A, sourceCode__code="two")
    found = (await http.post("ConceptMap/$translate", json=asked)).json()["parameter"]
    first = parts_of(found[1])
    assert first["relationship"] == "source-is-narrower-than-target"
    assert first["originMap"] == f"{map_url('main')}|1.0"


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        (f"url={map_url('absent')}&system={A}&code=one", 404, "could not be found"),
        (f"url={map_url('main')}&system={A}", 400, "exactly one"),
        (f"url={map_url('main')}&conceptMapVersion=9&system={A}&code=one", 404, "|9"),
    ],
)
async def test_translate_says_what_is_wrong(http: httpx.AsyncClient, query: str, status: int, text: str) -> None:
    answer = await http.get(f"ConceptMap/$translate?{query}")
    assert answer.status_code == status
    assert text in said(answer)


def closing(name: str, *codes: str, version: str = "") -> Json:
    asked = parameters(name__string=name)
    asked["parameter"] += [{"name": "concept", "valueCoding": {"system": URL, "code": code}} for code in codes]
    return asked | {
        "parameter": [*asked["parameter"], *([{"name": "version", "valueString": version}] if version else [])]
    }


async def closed(http: httpx.AsyncClient, asked: Json) -> tuple[str, list[tuple[str, str, str]]]:
    answer = await http.post("$closure", json=asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    rows = [
        (element["code"], target["equivalence"], target.get("code", ""))
        for group in found.get("group", ())
        for element in group["element"]
        for target in element["target"]
    ]
    return found["version"], rows


async def test_a_closure_table_tells_what_each_step_adds(http: httpx.AsyncClient) -> None:
    assert await closed(http, closing("mine")) == ("0", [])
    assert await closed(http, closing("mine", "kidney", "heart")) == ("1", [])
    assert await closed(http, closing("mine", "left-kidney")) == ("2", [("left-kidney", "subsumes", "kidney")])
    assert await closed(http, closing("mine", "organ", "left-kidney")) == (
        "3",
        [("heart", "subsumes", "organ"), ("kidney", "subsumes", "organ"), ("left-kidney", "subsumes", "organ")],
    )


async def test_a_closure_table_tells_again_what_came_after_a_version(http: httpx.AsyncClient) -> None:
    for codes in ((), ("organ",), ("kidney",), ("heart", "spleen")):
        await closed(http, closing("mine", *codes))
    assert await closed(http, closing("mine", version="2")) == (
        "3",
        [("heart", "subsumes", "organ"), ("spleen", "unmatched", "")],
    )
    assert len((await closed(http, closing("mine", version="0")))[1]) == 3


async def test_a_closure_table_starts_anew(http: httpx.AsyncClient) -> None:
    for codes in ((), ("organ",), ()):
        await closed(http, closing("mine", *codes))
    assert await closed(http, closing("mine", "kidney")) == ("1", [])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (closing("unknown", "kidney"), 404),
        (closing("unknown", version="1"), 404),
        (closing("mine", "kidney", version="1"), 400),
        (closing("mine", version="x"), 400),
        (parameters(name__string="mine", concept__Coding={"code": "kidney"}), 400),
        (parameters(), 400),
    ],
)
async def test_closure_says_what_is_wrong(http: httpx.AsyncClient, asked: Json, status: int) -> None:
    await closed(http, closing("mine"))
    assert (await http.post("$closure", json=asked)).status_code == status


async def test_a_closure_table_is_not_changed_by_get(http: httpx.AsyncClient) -> None:
    assert (await http.get("$closure?name=mine")).status_code == 405
