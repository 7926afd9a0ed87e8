"""Batch. Spec: https://hl7.org/fhir/R4/http.html#brules, https://hl7.org/fhir/R4/http.html#transaction-response"""

import asyncio

import pytest

from fhir_server.context import Context
from fhir_server.errors import TooCostly
from fhir_server.interactions import batch as batching
from tests.builders import bundle, entry, identifier, json_patch, observation, patient, resource
from tests.conformance.http.fhir import BASE, Fhir, Serve

URN = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"


async def test_every_entry_gets_its_answer_in_order(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await fhir.post(
        "",
        bundle(
            "batch",
            entry("GET", "Patient/a"),
            entry("POST", "Patient", patient(active=True)),
            entry("PUT", "Patient/b", patient("b")),
            entry("DELETE", "Patient/c"),
            entry("GET", "Patient?active=true"),
        ),
    )
    assert (answer.status, answer.json["type"]) == (200, "batch-response")
    assert [each["response"]["status"] for each in answer.entries] == [
        "200 OK", "201 Created", "201 Created", "204 No Content", "200 OK",
    ]  # fmt: skip
    assert answer.entries[0]["resource"]["id"] == "a"
    assert answer.entries[0]["fullUrl"] == f"{BASE}/Patient/a"
    assert answer.entries[4]["resource"]["type"] == "searchset"
    assert answer.entries[2]["response"]["location"] == "Patient/b/_history/1"
    assert answer.entries[2]["response"]["etag"] == 'W/"1"'
    assert answer.entries[2]["response"]["lastModified"].startswith("2023-11-14T22:13:20")


async def test_one_failure_leaves_the_others_alone(fhir: Fhir) -> None:
    answer = await fhir.post(
        "",
        bundle(
            "batch",
            entry("GET", "Patient/none"),
            entry("POST", "Patient", patient(gender="m")),
            entry("POST", "Patient", patient()),
            entry("GET", "Nothing/1"),
            entry("POST", "Patient/a", patient("a")),
            entry("POST", "Observation", patient()),
            entry("POST", "Patient"),
        ),
    )
    assert answer.status == 200
    statuses = [each["response"]["status"][:3] for each in answer.entries]
    assert statuses == ["404", "422", "201", "404", "405", "400", "400"]
    outcome = answer.entries[1]["response"]["outcome"]
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert len((await fhir.get("Patient")).ids) == 1


async def test_an_empty_batch_is_no_error(fhir: Fhir) -> None:
    for body in (bundle("batch"), {"resourceType": "Bundle", "type": "batch"}):
        answer = await fhir.post("", body)
        assert (answer.status, answer.entries) == (200, [])


async def test_entries_answer_with_the_resource_only_where_it_is_preferred(fhir: Fhir) -> None:
    body = bundle("batch", entry("POST", "Patient", patient()))
    assert "resource" not in (await fhir.post("", body)).entries[0]
    assert "resource" in (await fhir.post("", body, prefer="return=representation")).entries[0]
    told = (await fhir.post("", body, prefer="return=OperationOutcome")).entries[0]
    assert told["response"]["outcome"]["issue"][0]["severity"] == "information"


async def test_conditions_of_entries_hold(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=identifier("1")), patient("b"))
    answer = await fhir.post(
        "",
        bundle(
            "batch",
            entry("POST", "Patient", patient(), ifNoneExist="identifier=1"),
            entry("PUT", "Patient/b", patient("b", active=True), ifMatch='W/"7"'),
            entry("GET", "Patient/a", ifNoneMatch='W/"2"'),
            entry("GET", "Patient/b", ifModifiedSince="2040-01-01T00:00:00Z"),
            entry("PUT", "Patient?identifier=1", patient(identifier=identifier("1"), active=True)),
        ),
    )
    statuses = [each["response"]["status"][:3] for each in answer.entries]
    assert statuses == ["200", "412", "304", "304", "200"]
    assert answer.entries[1]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[1].request.ifMatch"]


async def test_reads_come_after_writes_and_deletes_before(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=identifier("1")))
    answer = await fhir.post(
        "",
        bundle(
            "batch",
            entry("GET", "Patient?identifier=1"),
            entry("POST", "Patient", patient(identifier=identifier("1")), ifNoneExist="identifier=1"),
            entry("DELETE", "Patient/a"),
        ),
    )
    found, created, deleted = answer.entries
    assert found["resource"]["total"] == 1
    assert created["response"]["status"] == "201 Created"
    assert deleted["response"]["status"] == "204 No Content"


async def test_patches_are_binaries_or_parameters(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True), patient("b", active=True))
    replace = resource(
        "Parameters",
        parameter=[
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "replace"},
                    {"name": "path", "valueString": "Patient.active"},
                    {"name": "value", "valueBoolean": False},
                ],
            }
        ],
    )
    answer = await fhir.post(
        "",
        bundle(
            "batch",
            entry("PATCH", "Patient/a", json_patch({"op": "replace", "path": "/active", "value": False})),
            entry("PATCH", "Patient/b", replace),
            entry("PATCH", "Patient/c", replace),
            entry("PATCH", "Patient/a2", {"resourceType": "Binary", "contentType": "x", "data": "%"}),
        ),
    )
    assert [each["response"]["status"][:3] for each in answer.entries] == ["200", "200", "404", "400"]
    assert sorted((await fhir.get("Patient?active=false")).ids) == ["a", "b"]


async def test_two_writes_of_one_resource_depend_on_each_other_and_the_second_is_refused(fhir: Fhir) -> None:
    answer = await fhir.post("", bundle("batch", entry("PUT", "Patient/a", patient("a")), entry("DELETE", "Patient/a")))
    assert [each["response"]["status"][:3] for each in answer.entries] == ["201", "400"]
    assert (await fhir.get("Patient/a")).status == 200


async def test_a_reference_to_what_the_batch_creates_is_refused(fhir: Fhir) -> None:
    answer = await fhir.post(
        "",
        bundle(
            "batch",
            entry("POST", "Patient", patient(), URN),
            entry("POST", "Observation", observation(subject=URN)),
            entry("POST", "Observation", observation(subject="Patient/x")),
        ),
    )
    assert [each["response"]["status"][:3] for each in answer.entries] == ["201", "400", "201"]


async def test_head_answers_without_the_resource(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    (answer,) = (await fhir.post("", bundle("batch", entry("HEAD", "Patient/a")))).entries
    assert answer["response"]["etag"] == 'W/"1"'
    assert "resource" not in answer


URLS = {
    "Patient/a": "200",
    "/Patient/a": "200",
    f"{BASE}/Patient/a": "200",
    "Patient/a/_history/1": "200",
    "Patient/a/_history": "200",
    "Patient?name=%C3%A9&active=true": "200",
    "Patient/a/Observation": "200",
    "metadata": "200",
    "_history": "200",
    "": "200",
    "?_type=Patient": "200",
    "http://elsewhere/fhir/Patient/a": "404",
    "Patient/a/b/c/d/e": "404",
    "$nothing": "404",
    "Patient?colour=red": "400",
}


@pytest.mark.parametrize("url", URLS)
async def test_urls_of_entries_are_read_as_those_of_requests(fhir: Fhir, url: str) -> None:
    await fhir.put_all(patient("a"))
    (answer,) = (await fhir.post("", bundle("batch", entry("GET", url)))).entries
    assert answer["response"]["status"][:3] == URLS[url], answer


def _one(**members: object) -> dict[str, object]:
    """A batch of one entry, as it stands."""
    return {"resourceType": "Bundle", "type": "batch", "entry": [members]}


BAD = {
    "not a Bundle": (patient(), "Bundle"),
    "another type": (bundle("collection"), "Bundle.type"),
    "no type": ({"resourceType": "Bundle"}, "Bundle.type"),
    "entry is no array": ({"resourceType": "Bundle", "type": "batch", "entry": {}}, "Bundle"),
    "entry is no object": ({"resourceType": "Bundle", "type": "batch", "entry": [1]}, "Bundle"),
    "no request": (_one(), "Bundle.entry[0]"),
    "request is a list": (_one(request=[]), "Bundle.entry[0]"),
    "no method": (_one(request={"url": "x"}), "Bundle.entry[0].request.method"),
    "unknown method": (_one(request={"method": "BREW", "url": "x"}), "Bundle.entry[0].request.method"),
    "method is a list": (_one(request={"method": ["GET"], "url": "x"}), "Bundle.entry[0].request.method"),
    "no url": (_one(request={"method": "GET"}), "Bundle.entry[0].request.url"),
    "resource is text": (_one(request={"method": "PUT", "url": "Patient/a"}, resource="x"), "Bundle.entry[0].resource"),
    "fullUrl is a number": (_one(request={"method": "GET", "url": "x"}, fullUrl=1), "Bundle.entry[0].fullUrl"),
    "ifMatch is a number": (_one(request={"method": "GET", "url": "x", "ifMatch": 1}), "Bundle.entry[0].request"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bundle_that_cannot_be_read_is_refused_whole(fhir: Fhir, what: str) -> None:
    body, place = BAD[what]
    answer = await fhir("POST", "", body)
    assert answer.status == 400, answer.body
    assert answer.expressions == [place]


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Bundle","type":"batch","type":"batch"}',
        b'{"resourceType":"Bundle","type":"batch","entry":[],"entry":[]}',
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","method":"PUT","url":"x"}}]}',
        b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient"},'
        b'"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}',
        b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST"',
        b'{"resourceType":"Bundle","type":"batch","x":"\xff"}',
        b'{"resourceType":"Bundle","type":"batch","x":"\\u0000"}',
        b'{"resourceType":"Bundle","type":"batch","x":' + b"[" * 300 + b"]" * 300 + b"}",
        b"",
    ],
)
async def test_duplicate_members_and_broken_text_around_the_resources_are_found(fhir: Fhir, body: bytes) -> None:
    answer = await fhir.post("", body)
    assert answer.status == 400
    assert (await fhir.get("_history")).entries == []


async def test_duplicate_members_in_a_resource_fail_its_entry_alone(fhir: Fhir) -> None:
    body = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","active":true,'
        b'"active":false},"request":{"method":"POST","url":"Patient"}},'
        b'{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}'
    )
    answer = await fhir.post("", body)
    assert [each["response"]["status"][:3] for each in answer.entries] == ["400", "201"]


async def test_a_batch_within_a_batch_is_refused(fhir: Fhir) -> None:
    (answer,) = (await fhir.post("", bundle("batch", entry("POST", "", bundle("batch"))))).entries
    assert answer["response"]["status"][:3] == "400"


async def test_too_many_entries_are_refused(serve: Serve) -> None:
    fhir = await serve(max_entries=2)
    answer = await fhir.post("", bundle("batch", *(entry("GET", "Patient") for _ in range(3))))
    assert answer.status == 413


async def test_entries_of_one_kind_run_side_by_side_but_not_all_at_once(
    fhir: Fhir, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    async def slow(ctx: Context, *rest: object) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return b"{}"

    monkeypatch.setattr(batching, "_answer", slow)
    await fhir.post("", bundle("batch", *(entry("GET", "Patient") for _ in range(100))))
    assert 1 < most <= 32


async def test_a_search_that_costs_too_much_fails_alone(fhir: Fhir) -> None:
    async def too_costly(search: object) -> None:
        raise TooCostly("too much")

    many = ",".join(map(str, range(6_000)))
    answer = await fhir.post("", bundle("batch", entry("GET", f"Patient?_id={many}"), entry("GET", "Patient")))
    assert answer.entries[0]["response"]["status"][:3] in ("400", "403")
    assert answer.entries[1]["response"]["status"] == "200 OK"


async def test_a_history_bundle_is_replayed_with_its_ids_and_latest_versions(fhir: Fhir, serve: Serve) -> None:
    await fhir.put_all(patient("a", gender="male"), patient("a", gender="female"), patient("b"), patient("c"))
    created = await fhir.post("Observation", observation(subject="Patient/a"))
    await fhir.delete("Patient/b")
    history = (await fhir.get("_history")).json
    for id_ in ("a", "b", "c"):
        await fhir.delete(f"Observation/{created.id}")
        await fhir.delete(f"Patient/{id_}")
    answer = await fhir.post("", history)
    assert (answer.status, answer.json["type"]) == (200, "transaction-response")
    assert len(answer.entries) == len(history["entry"])
    assert (await fhir.get("Patient/a")).json["gender"] == "female"
    assert (await fhir.get("Patient/b")).status == 410
    assert (await fhir.get(f"Observation/{created.id}")).json["subject"] == {"reference": "Patient/a"}
    superseded = [each for each in answer.entries if "outcome" in each["response"]]
    assert len(superseded) == 2


async def test_a_history_entry_without_an_id_is_refused(fhir: Fhir) -> None:
    answer = await fhir.post("", bundle("history", entry("POST", "Patient", patient())))
    assert (answer.status, answer.expressions) == (400, ["Bundle.entry[0].resource"])
