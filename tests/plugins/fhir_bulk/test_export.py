"""`$export`, as a client of https://hl7.org/fhir/uv/bulkdata/STU2/export.html uses it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import observation, patient, resource
from tests.plugins.fhir_bulk.conftest import Bulk, made

COMPLETE = {"transactionTime", "request", "requiresAccessToken", "output", "deleted", "error"}


def reference(name: str, *ids: str) -> dict[str, Any]:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, "valueReference": {"reference": f"Patient/{id_}"}} for id_ in ids],
    }


async def population(bulk: Bulk) -> None:
    """Two patients with observations by one practitioner, one without; an organization that nobody names."""
    await bulk.put(
        patient("ann", generalPractitioner=[{"reference": "Practitioner/doc"}]),
        patient("bob"),
        patient("cat"),
        resource("Practitioner", "doc"),
        resource("Practitioner", "idle"),
        resource("PractitionerRole", "role", organization={"reference": "Organization/clinic"}),
        resource("Organization", "clinic", name="Clinic"),
        resource("Organization", "far", name="Far away"),
        *(observation(f"a{n}", subject="Patient/ann", performer=[{"reference": "PractitionerRole/role"}])
          for n in range(9)),
        observation("b1", subject="Patient/bob"),
        observation("free"),
    )  # fmt: skip


async def test_export_of_the_system_holds_everything_in_files_of_one_type(bulk: Bulk) -> None:
    await population(bulk)
    manifest = await bulk.manifest("$export")
    assert set(manifest) == COMPLETE
    assert manifest["request"] == "http://test/fhir/$export"
    assert manifest["requiresAccessToken"] is False and manifest["error"] == manifest["deleted"] == []
    counts = [(item["type"], item["count"]) for item in manifest["output"]]
    assert counts == [
        ("Observation", 5), ("Observation", 6), ("Organization", 2), ("Patient", 3), ("Practitioner", 2),
        ("PractitionerRole", 1),
    ]  # fmt: skip
    found = await bulk.found("$export?_type=Patient,Organization")
    assert found == {"Patient": ["ann", "bob", "cat"], "Organization": ["clinic", "far"]}


async def test_lines_are_the_resources_as_they_are_read(bulk: Bulk) -> None:
    await bulk.put(patient("ann", extension=[{"url": "http://example.org/x", "valueDecimal": 1.5}]))
    manifest = await bulk.manifest("$export")
    response = await bulk.http.get(manifest["output"][0]["url"])
    assert response.content == (await bulk.http.get("/fhir/Patient/ann")).content + b"\n"


async def test_export_of_patients_holds_their_records_and_what_these_point_at(bulk: Bulk) -> None:
    await population(bulk)
    found = await bulk.found("Patient/$export")
    assert found == {
        "Patient": ["ann", "bob", "cat"],
        "Observation": [*(f"a{n}" for n in range(9)), "b1"],
        "Practitioner": ["doc"],
        "PractitionerRole": ["role"],
        "Organization": ["clinic"],
    }
    assert await bulk.found("Patient/$export?_type=Organization") == {"Organization": ["clinic"]}
    assert await bulk.found("Patient/$export?_type=Observation", reference("patient", "bob")) == {"Observation": ["b1"]}


async def test_export_of_a_group_holds_its_active_members_alone(bulk: Bulk) -> None:
    await population(bulk)
    await bulk.put(
        patient("dan"),
        resource("Group", "inner", type="person", actual=True, member=[{"entity": {"reference": "Patient/cat"}}]),
        resource(
            "Group", "outer", type="person", actual=True,
            member=[
                {"entity": {"reference": "Patient/ann"}},
                {"entity": {"reference": "Patient/bob"}, "inactive": True},
                {"entity": {"reference": "Patient/dan"}, "period": {"end": "2020-01-01"}},
                {"entity": {"reference": "Group/inner"}},
                {"entity": {"reference": "Group/outer"}},
            ],
        ),
    )  # fmt: skip
    found = await bulk.found("Group/outer/$export?_type=Patient,Observation")
    assert found == {"Patient": ["ann", "cat"], "Observation": [f"a{n}" for n in range(9)]}
    found = await bulk.found("Group/outer/$export?_type=Patient", reference("patient", "cat"))
    assert found == {"Patient": ["cat"]}
    refused = await bulk.kick_off("Group/outer/$export", reference("patient", "bob"))
    assert refused.status_code == 400
    assert (await bulk.kick_off("Group/none/$export")).status_code == 404


async def test_a_resource_of_two_members_comes_once(bulk: Bulk) -> None:
    people = [f"p{n}" for n in range(6)]
    actors = [{"actor": {"reference": f"Patient/{id_}"}, "status": "accepted"} for id_ in people]
    member = [{"entity": {"reference": f"Patient/{id_}"}} for id_ in people]
    await bulk.put(
        *map(patient, people), resource("Appointment", "all", status="proposed", participant=actors),
        resource("Group", "g", type="person", actual=True, member=member),
    )  # fmt: skip
    found = await bulk.found("Group/g/$export?_type=Appointment")
    assert found == {"Appointment": ["all"]}


async def test_criteria_make_the_members_of_a_group_when_it_is_exported(bulk: Bulk) -> None:
    await population(bulk)

    def criterion(expression: str) -> dict[str, Any]:
        said = {"language": "application/x-fhir-query", "expression": expression}
        return {
            "url": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter", "valueExpression": said
        }  # fmt: skip

    await bulk.put(
        resource(
            "Group", "cohort", type="person", actual=False,
            modifierExtension=[criterion("Observation?status=final"), criterion("Patient?_id=ann,cat")],
        )
    )  # fmt: skip
    assert await bulk.found("Group/cohort/$export?_type=Patient") == {"Patient": ["ann"]}
    await bulk.put(observation("c1", subject="Patient/cat"))
    assert await bulk.found("Group/cohort/$export?_type=Patient") == {"Patient": ["ann", "cat"]}


@pytest.mark.parametrize(
    "said",
    [
        {"language": "text/cql", "expression": "x"},
        {"language": "application/x-fhir-query", "expression": "Observation"},
        {"language": "application/x-fhir-query", "expression": "Observation?nonsense=1"},
        {"language": "application/x-fhir-query", "expression": "Observation?_sort=date"},
        {"language": "application/x-fhir-query", "expression": "Organization?name=x"},
        {"language": "application/x-fhir-query", "expression": "Nonsense?name=x"},
    ],
)
async def test_a_group_with_criteria_that_cannot_be_asked_is_not_stored(bulk: Bulk, said: dict[str, str]) -> None:
    extension = {
        "url": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter", "valueExpression": said
    }  # fmt: skip
    group = resource("Group", "g", type="person", actual=False, modifierExtension=[extension])
    answer = await bulk.http.put("/fhir/Group/g", json=group)
    assert answer.status_code == 422, answer.text


async def test_since_holds_what_changed_and_what_was_deleted_after_the_transaction_time(bulk: Bulk) -> None:
    await population(bulk)
    before = await bulk.manifest("$export")
    await bulk.put(patient("bob", active=True), patient("new"))
    await bulk.http.delete("/fhir/Observation/b1")
    await bulk.http.delete("/fhir/Observation/a1")
    await bulk.put(observation("a1", subject="Patient/ann"))
    await bulk.http.delete("/fhir/Observation/free")
    after = f"_since={before['transactionTime']}"
    manifest = await bulk.manifest(f"$export?{after}")
    found = {item["type"]: [line["id"] for line in await bulk.lines(item["url"])] for item in manifest["output"]}
    assert {type_: sorted(ids) for type_, ids in found.items()} == {"Patient": ["bob", "new"], "Observation": ["a1"]}
    (deleted,) = manifest["deleted"]
    (gone,) = await bulk.lines(deleted["url"])
    assert deleted["type"] == "Bundle" and gone["type"] == "transaction"
    assert {(one["request"]["method"], one["request"]["url"]) for one in gone["entry"]} == {
        ("DELETE", "Observation/b1"), ("DELETE", "Observation/free")
    }  # fmt: skip
    manifest = await bulk.manifest(f"Patient/$export?{after}")
    (gone,) = await bulk.lines(manifest["deleted"][0]["url"])
    assert [one["request"]["url"] for one in gone["entry"]] == ["Observation/b1"]
    manifest = await bulk.manifest(f"$export?_until={before['transactionTime']}&_type=Patient")
    assert [item["count"] for item in manifest["output"]] == [2]


async def test_type_filters_of_one_type_are_alternatives(bulk: Bulk) -> None:
    await bulk.put(
        patient("ann", gender="female"), patient("bob", gender="male"), patient("cat", gender="female", active=False),
        observation("o", subject="Patient/bob"),
    )  # fmt: skip
    found = await bulk.found("$export?_typeFilter=Patient%3Fgender%3Dmale&_typeFilter=Patient%3Factive%3Dfalse")
    assert found == {"Patient": ["bob", "cat"], "Observation": ["o"]}
    found = await bulk.found("$export?_type=Patient&_typeFilter=Patient%3Fgender%3Dfemale%26active%3Dfalse")
    assert found == {"Patient": ["cat"]}


async def test_elements_are_cut_and_marked(bulk: Bulk) -> None:
    await bulk.put(patient("ann", gender="female", birthDate="1980-01-01"), observation("o", subject="Patient/ann"))
    manifest = await bulk.manifest("$export?_elements=Patient.gender,subject")
    lines = {item["type"]: (await bulk.lines(item["url"]))[0] for item in manifest["output"]}
    assert lines["Patient"]["gender"] == "female" and "birthDate" not in lines["Patient"]
    assert lines["Patient"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert set(lines["Observation"]) >= {"id", "meta", "status", "code", "subject"}
    manifest = await bulk.manifest("$export?_elements=Patient.gender&_type=Observation")
    (line,) = await bulk.lines(manifest["output"][0]["url"])
    assert "tag" not in line["meta"]


async def test_provenance_of_what_is_exported_comes_with_it(bulk: Bulk) -> None:
    def provenance(id_: str, recorded: str, *targets: str) -> dict[str, Any]:
        return resource(
            "Provenance", id_, recorded=recorded, target=[{"reference": target} for target in targets],
            agent=[{"who": {"display": "somebody"}}],
        )  # fmt: skip

    await bulk.put(
        patient("ann"), patient("bob"), resource("Organization", "org", name="Org"),
        provenance("first", "2020-01-01T00:00:00Z", "Patient/ann"),
        provenance("late", "2021-01-01T00:00:00Z", "Patient/ann", "Patient/bob"),
        provenance("other", "2021-01-01T00:00:00Z", "Organization/org"),
    )  # fmt: skip
    asked = "$export?_type=Patient&includeAssociatedData="
    assert (await bulk.found(f"{asked}RelevantProvenanceResources"))["Provenance"] == ["first", "late"]
    assert (await bulk.found(f"{asked}LatestProvenanceResources"))["Provenance"] == ["late"]


async def test_output_by_patient_has_a_header_before_each_record(bulk: Bulk) -> None:
    await population(bulk)
    manifest = await bulk.manifest("Patient/$export?organizeOutputBy=Patient&_type=Patient,Observation")
    assert manifest["outputOrganizedBy"] == "Patient" and "type" not in manifest["output"][0]
    lines = [line for item in manifest["output"] for line in await bulk.lines(item["url"])]
    headers = [n for n, line in enumerate(lines) if line["resourceType"] == "Parameters"]
    assert len(headers) == 3
    for number in headers:
        named = lines[number]["parameter"][0]
        assert named["name"] == "header"
        assert named["valueReference"]["reference"] == f"Patient/{lines[number + 1]['id']}"
    at = next(n for n in headers if lines[n]["parameter"][0]["valueReference"]["reference"] == "Patient/ann")
    assert [line["resourceType"] for line in lines[at + 1 : at + 11]] == ["Patient", *["Observation"] * 9]


async def test_partial_manifests_are_pages_that_stay_as_they_are(bulk: Bulk) -> None:
    await population(bulk)
    manifest = await bulk.manifest("$export?allowPartialManifests=true")
    assert "link" not in manifest and len(manifest["output"]) == 6


async def test_exports_since_the_time_of_the_last_miss_nothing_that_is_written_meanwhile(tmp_path: Path) -> None:
    app = made(tmp_path, polls=0)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            await exported_while_written(Bulk(http))


async def exported_while_written(bulk: Bulk) -> None:
    """Export five times while three writers write; the last time when they have stopped."""
    written: set[str] = set()
    stop = asyncio.Event()

    async def write(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            id_ = f"{name}{number}"
            await bulk.put(patient(id_), observation(id_, subject=f"Patient/{id_}"))
            written.add(id_)
            await asyncio.sleep(0.02)

    writers = [asyncio.create_task(write(name)) for name in ("x", "y", "z")]
    seen: dict[str, dict[str, int]] = {"Patient": {}, "Observation": {}}
    since = ""
    for round_ in range(5):
        if round_ == 4:
            stop.set()
            await asyncio.gather(*writers)
        manifest = await bulk.manifest(f"$export{since}")
        since = f"?_since={manifest['transactionTime']}"
        in_round: dict[str, set[str]] = {"Patient": set(), "Observation": set()}
        for item in manifest["output"]:
            for line in await bulk.lines(item["url"]):
                assert line["meta"]["lastUpdated"] <= manifest["transactionTime"]
                seen[line["resourceType"]][line["id"]] = seen[line["resourceType"]].get(line["id"], 0) + 1
                in_round[line["resourceType"]].add(line["id"])
        assert in_round["Patient"] == in_round["Observation"], "one instant for all types"
    for type_, counts in seen.items():
        assert set(counts) == written, type_
        assert set(counts.values()) == {1}, "nothing comes twice"
