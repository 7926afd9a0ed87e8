"""Searches by value set and by hierarchy: in force once a ValueSet or CodeSystem is written, in every worker.

Spec: https://hl7.org/fhir/R4/search.html#modifiers
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_server.interactions.tenants import CHECK_EVERY, Tenants
from tests.builders import bundle, entry, observation, patient, resource
from tests.conformance.http.fhir import Fhir, Serve
from tests.conformance.http.over_http import issue, over_asgi

LAB = "urn:lab"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


def value_set(id_: str, *include: dict[str, Any], **elements: Any) -> dict[str, Any]:
    return resource(
        "ValueSet", id_, url=f"urn:vs:{id_}", status="active", compose={"include": list(include)}, **elements
    )


def listed(system: str, *codes: str) -> dict[str, Any]:
    return {"system": system, "concept": [{"code": code} for code in codes]}


def coded(id_: str, code: str, system: str = LAB) -> dict[str, Any]:
    return observation(id_, code={"coding": [{"system": system, "code": code}]}, subject="Patient/p")


GLUCOSE = value_set("glucose", listed(LAB, "blood-glucose", "urine-glucose"))
SUGARS = {"code": "glucose", "concept": [{"code": "blood-glucose"}, {"code": "urine-glucose"}]}
TREE = resource("CodeSystem", "lab", url=LAB, status="active", content="complete", concept=[SUGARS, {"code": "sodium"}])


async def _grow(fhir: Fhir) -> None:
    await fhir.put_all(
        patient("p", gender="male"),
        coded("blood", "blood-glucose"),
        coded("urine", "urine-glucose"),
        coded("salt", "sodium"),
        coded("other", "blood-glucose", "urn:other"),
        observation("text"),
    )


async def _found(fhir: Fhir, url: str) -> str:
    answer = await fhir.get(url)
    assert answer.status == 200, answer.body
    return " ".join(sorted(answer.ids))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("Observation?code:in=ValueSet/glucose", "blood urine"),
        ("Observation?code:in=urn:vs:glucose", "blood urine"),
        ("Observation?code:in=urn:vs:salt,urn:vs:glucose", "blood salt urine"),
        ("Observation?code:not-in=ValueSet/glucose", "other salt text"),
        ("Observation?code:in=urn:vs:below", "blood urine"),
        ("Observation?code:in=urn:vs:whole", "blood salt urine"),
        ("Observation?code:in=urn:vs:elsewhere", "other"),
        ("Observation?code:in=urn:vs:nothing", ""),
        ("Observation?code:not-in=urn:vs:nothing", "blood other salt text urine"),
        ("Observation?code:below=urn:lab|glucose", "blood urine"),
        ("Observation?code:above=urn:lab|blood-glucose", "blood"),
        ("Observation?code:below=urn:lab|sodium", "salt"),
        ("Observation?_filter=code in urn:vs:salt", "salt"),
        ("Patient?_has:Observation:subject:code:in=urn:vs:salt", "p"),
        (f"Patient?gender:in={GENDER}", "p"),
        (f"Patient?gender:not-in={GENDER}", ""),
        (f"Observation?subject:Patient.gender:in={GENDER}&code:in=urn:vs:salt", "salt"),
    ],
)
async def test_value_sets_and_hierarchies_find(fhir: Fhir, url: str, found: str) -> None:
    await _grow(fhir)
    below = {"system": LAB, "filter": [{"property": "concept", "op": "descendent-of", "value": "glucose"}]}
    sets = [
        value_set("salt", listed(LAB, "sodium")),
        value_set("below", below),
        value_set("whole", {"system": LAB}),
        value_set("elsewhere", {"system": "urn:other"}),
        value_set("nothing", listed(LAB, "nothing")),
    ]
    await fhir.put_all(TREE, GLUCOSE, *sets)
    assert await _found(fhir, url) == found


async def test_a_value_set_without_any_code_finds_nothing_and_its_contrary_all(fhir: Fhir) -> None:
    await _grow(fhir)
    below = {"system": LAB, "filter": [{"property": "concept", "op": "descendent-of", "value": "sodium"}]}
    await fhir.put_all(TREE, value_set("empty", below))
    assert await _found(fhir, "Observation?code:in=urn:vs:empty") == ""
    assert await _found(fhir, "Observation?code:not-in=urn:vs:empty") == "blood other salt text urine"


async def test_the_hierarchy_of_an_r4_system_is_known(fhir: Fhir) -> None:
    for status in ("active", "relapse", "resolved"):
        concept = {"coding": [{"system": CLINICAL, "code": status}]}
        await fhir.put_all(resource("Condition", status, subject={"reference": "Patient/p"}, clinicalStatus=concept))
    assert await _found(fhir, f"Condition?clinical-status:below={CLINICAL}|active") == "active relapse"
    assert await _found(fhir, f"Condition?clinical-status:above={CLINICAL}|relapse") == "active relapse"
    assert await _found(fhir, f"Condition?clinical-status:below={CLINICAL}|inactive") == "resolved"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("Observation?code:in=urn:vs:nowhere", "urn:vs:nowhere"),
        ("Observation?code:not-in=ValueSet/nowhere", "ValueSet/nowhere"),
        ("Observation?code:below=urn:nowhere|x", "urn:nowhere"),
        ("Observation?code:above=urn:lab|unicorn", "unicorn"),
        ("Observation?code:below=glucose", "system|code"),
    ],
)
async def test_what_is_unknown_is_refused_by_its_name(fhir: Fhir, url: str, named: str) -> None:
    await fhir.put_all(TREE)
    answer = await fhir.get(url)
    assert answer.status == 400
    assert named in answer.text


async def test_a_value_set_that_is_changed_or_deleted_is_so_for_the_next_search(fhir: Fhir) -> None:
    await _grow(fhir)
    await fhir.put_all(GLUCOSE)
    assert await _found(fhir, "Observation?code:in=ValueSet/glucose") == "blood urine"
    await fhir.put_all(value_set("glucose", listed(LAB, "sodium")))
    assert await _found(fhir, "Observation?code:in=ValueSet/glucose") == "salt"
    await fhir.delete("ValueSet/glucose")
    assert (await fhir.get("Observation?code:in=ValueSet/glucose")).status == 400


async def test_a_code_system_that_is_changed_changes_what_is_below(fhir: Fhir) -> None:
    await _grow(fhir)
    await fhir.put_all(TREE)
    assert await _found(fhir, "Observation?code:below=urn:lab|glucose") == "blood urine"
    flat = [{"code": code} for code in ("glucose", "blood-glucose", "urine-glucose")]
    await fhir.put_all(TREE | {"concept": flat})
    assert await _found(fhir, "Observation?code:below=urn:lab|glucose") == ""


async def test_a_value_set_may_come_in_a_transaction(fhir: Fhir) -> None:
    await _grow(fhir)
    await fhir.post("", bundle("transaction", entry("PUT", "ValueSet/glucose", GLUCOSE)))
    assert await _found(fhir, "Observation?code:in=ValueSet/glucose") == "blood urine"


def _worker(fhir: Fhir) -> Fhir:
    """Another process's view of the same store."""
    tenants = Tenants(fhir.server.tenants._stores, fhir.server.settings, fhir.clock)
    return Fhir(replace(fhir.server, tenants=tenants), fhir.clock)


async def test_other_workers_notice_within_a_second_and_later_ones_know(fhir: Fhir) -> None:
    await _grow(fhir)
    other = _worker(fhir)
    assert (await other.get("Observation?code:in=ValueSet/glucose")).status == 400
    await fhir.put_all(GLUCOSE)
    fhir.clock.now += CHECK_EVERY
    assert await _found(other, "Observation?code:in=ValueSet/glucose") == "blood urine"
    assert await _found(_worker(fhir), "Observation?code:in=ValueSet/glucose") == "blood urine"


async def test_workers_that_write_in_turn_know_of_each_others_value_sets(fhir: Fhir) -> None:
    await _grow(fhir)
    other = _worker(fhir)
    for number in range(3):
        for name, worker in (("mine", fhir), ("theirs", other)):
            await worker.put_all(value_set(f"{name}{number}", listed(LAB, "sodium")))
            await worker.put_all(value_set(f"{name}-changing", listed(LAB, "sodium" if number == 2 else "nothing")))
    fhir.clock.now += CHECK_EVERY
    for worker in (fhir, other):
        for name in ("mine0", "theirs0", "mine2", "theirs2", "mine-changing", "theirs-changing"):
            assert await _found(worker, f"Observation?code:in=ValueSet/{name}") == "salt", name


async def test_value_sets_written_at_the_same_time_are_all_known(fhir: Fhir) -> None:
    await _grow(fhir)
    other = _worker(fhir)
    sets = [value_set(f"v{number}", listed(LAB, "sodium")) for number in range(12)]
    await asyncio.gather(*(worker.put_all(*sets[at::2]) for at, worker in enumerate((fhir, other))))
    fhir.clock.now += CHECK_EVERY
    for worker in (fhir, other):
        for each in sets:
            assert await _found(worker, f"Observation?code:in=ValueSet/{each['id']}") == "salt"


async def test_a_value_set_over_the_limit_is_too_costly(serve: Serve) -> None:
    fhir = await serve(max_or_values=2)
    await fhir.put_all(GLUCOSE, value_set("three", listed(LAB, "a", "b", "c")))
    assert (await fhir.get("Observation?code:in=urn:vs:glucose")).status == 200
    answer = await fhir.get("Observation?code:in=urn:vs:three")
    assert answer.status == 403
    assert answer.json["issue"][0]["code"] == "too-costly"


async def test_over_http_a_new_value_set_is_in_force_at_once(tmp_path: Path) -> None:
    async with over_asgi(tmp_path) as http:
        for each in (coded("blood", "blood-glucose"), coded("salt", "sodium")):
            assert (await http.put(f"/fhir/Observation/{each['id']}", json=each)).status_code == 201
        refused = await http.get("/fhir/Observation?code:in=ValueSet/glucose")
        assert refused.status_code == 400
        assert "ValueSet/glucose" in issue(refused)["diagnostics"]
        assert (await http.put("/fhir/ValueSet/glucose", json=GLUCOSE)).status_code == 201
        assert (await http.put("/fhir/CodeSystem/lab", json=TREE)).status_code == 201
        for url in ("code:in=ValueSet/glucose", "code:not-in=urn:vs:glucose", "code:below=urn:lab|glucose"):
            answer = await http.get(f"/fhir/Observation?{url}")
            found = [each["resource"]["id"] for each in answer.json()["entry"]]
            assert found == (["salt"] if "not-in" in url else ["blood"]), url
