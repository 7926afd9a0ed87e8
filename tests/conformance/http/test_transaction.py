"""Transaction. Spec: https://hl7.org/fhir/R4/http.html#trules, https://hl7.org/fhir/R4/http.html#transaction-response"""

import asyncio
from typing import Any

import pytest

from tests.builders import bundle, entry, identifier, json_patch, observation, patient, resource
from tests.conformance.http.fhir import BASE, Answer, Fhir, Serve

P = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
O = "urn:uuid:b4a4a0b0-a0f3-4b3e-9c3b-1f5b8c7d6e5f"  # noqa: E741
ONE = identifier("1")


async def post(fhir: Fhir, *entries: Any, **headers: str) -> Answer:
    return await fhir.post("", bundle("transaction", *entries), **headers)


def place(answer: Answer, index: int) -> str:
    """Return `Type/id` of what an entry wrote."""
    return str(answer.entries[index]["response"]["location"]).partition("/_history")[0]


async def test_every_entry_gets_its_answer_in_order(fhir: Fhir) -> None:
    await fhir.put_all(patient("gone"), patient("old"))
    answer = await post(
        fhir,
        entry("GET", "Patient/old"),
        entry("PUT", "Patient/old", patient("old", active=True)),
        entry("POST", "Patient", patient()),
        entry("DELETE", "Patient/gone"),
        entry("PUT", "Patient/new", patient("new")),
        entry("DELETE", "Patient/never"),
    )
    assert (answer.status, answer.json["type"]) == (200, "transaction-response")
    responses = [each["response"] for each in answer.entries]
    assert [each["status"] for each in responses] == [
        "200 OK", "200 OK", "201 Created", "204 No Content", "201 Created", "204 No Content",
    ]  # fmt: skip
    assert responses[1]["location"] == "Patient/old/_history/2"
    assert responses[1]["etag"] == 'W/"2"'
    assert responses[4]["location"] == "Patient/new/_history/1"
    assert responses[3]["etag"] == 'W/"2"'
    assert "location" not in responses[3]
    written = {responses[number]["lastModified"] for number in (1, 2, 3, 4)}
    assert len(written) == 1
    assert answer.entries[0]["resource"]["active"] is True


async def test_a_transaction_is_one_commit(fhir: Fhir) -> None:
    await post(fhir, *(entry("POST", "Patient", patient()) for _ in range(5)))
    history = await fhir.get("_history")
    assert len({each["response"]["lastModified"] for each in history.entries}) == 1


async def test_an_empty_transaction_is_no_error(fhir: Fhir) -> None:
    answer = await post(fhir)
    assert (answer.status, answer.entries) == (200, [])


FAULTS = {
    "invalid resource": (entry("POST", "Patient", patient(gender="m")), 422, "Bundle.entry[1].resource.gender"),
    "wrong type": (entry("POST", "Patient", observation()), 400, "Bundle.entry[1].resource"),
    "no resource": (entry("POST", "Patient"), 400, "Bundle.entry[1].resource"),
    "id of another": (entry("PUT", "Patient/x", patient("y")), 400, "Bundle.entry[1].resource.id"),
    "no id": (entry("PUT", "Patient/x", patient()), 400, "Bundle.entry[1].resource.id"),
    "bad id": (entry("PUT", "Patient/x_y", patient("x_y")), 400, "Bundle.entry[1].resource.id"),
    "unknown type": (entry("GET", "Nothing/1"), 404, "Bundle.entry[1].request.url"),
    "wrong method": (entry("POST", "Patient/1", patient()), 405, "Bundle.entry[1].request.method"),
    "read of nothing": (entry("GET", "Patient/none"), 404, "Bundle.entry[1].request.url"),
    "history of nothing": (entry("GET", "Patient/none/_history"), 404, "Bundle.entry[1].request.url"),
    "read of a deleted one": (entry("GET", "Patient/gone"), 410, "Bundle.entry[1].request.url"),
    "unknown parameter": (entry("GET", "Patient?colour=red"), 400, None),
    "unknown operation": (entry("GET", "Patient/$nothing"), 404, "Bundle.entry[1].request.url"),
    "version conflict": (
        entry("PUT", "Patient/old", patient("old"), ifMatch='W/"7"'), 412, "Bundle.entry[1].request.ifMatch",
    ),
    "a referrer": (entry("DELETE", "Patient/subject"), 409, "Bundle.entry[1].request.url"),
    "patch of nothing": (entry("PATCH", "Patient/none", json_patch()), 404, "Bundle.entry[1].request.url"),
    "several matches": (entry("PUT", "Patient?active=true", patient()), 412, "Bundle.entry[1].request.url"),
    "several for a create": (
        entry("POST", "Patient", patient(), ifNoneExist="active=true"), 412, "Bundle.entry[1].request.ifNoneExist",
    ),
    "no criteria": (entry("DELETE", "Patient"), 412, "Bundle.entry[1].request.url"),
    "a batch": (entry("POST", "", bundle("batch")), 400, "Bundle.entry[1].request.url"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
async def test_one_fault_fails_the_whole_and_is_placed(fhir: Fhir, what: str) -> None:
    await fhir.put_all(
        patient("old", active=True), patient("old2", active=True), patient("gone"), patient("subject"),
        observation("o", subject="Patient/subject"),
    )  # fmt: skip
    await fhir.delete("Patient/gone")
    before = (await fhir.get("_history")).json["total"]
    fault, status, where = FAULTS[what]
    answer = await post(fhir, entry("POST", "Patient", patient(identifier=ONE)), fault)
    assert answer.status == status, answer.body
    assert answer.json["resourceType"] == "OperationOutcome"
    if where:
        assert answer.expressions == [where]
    assert (await fhir.get("Patient?identifier=1")).ids == []
    assert (await fhir.get("_history")).json["total"] == before


async def test_all_invalid_resources_are_named_at_once(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(gender="m")),
        entry("POST", "Patient", patient()),
        entry("POST", "Observation", observation(status="x")),
    )
    assert answer.status == 422
    assert answer.expressions == ["Bundle.entry[0].resource.gender", "Bundle.entry[2].resource.status"]


# --- references between entries


async def test_references_by_urn_uuid_are_rewritten_also_in_circles(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(link=[{"other": {"reference": P}, "type": "seealso"}]), P),
        entry("POST", "Observation", observation(subject=P, hasMember=[{"reference": O}]), O),
    )
    one, two = place(answer, 0), place(answer, 1)
    assert (await fhir.get(one)).json["link"][0]["other"]["reference"] == one
    found = (await fhir.get(two)).json
    assert found["subject"]["reference"] == one
    assert found["hasMember"][0]["reference"] == two
    assert (await fhir.get(f"Observation?subject={one}")).ids == [two.partition("/")[2]]


FULL_URLS = {
    "urn:oid": ("urn:oid:1.2.3.4", "urn:oid:1.2.3.4"),
    "absolute": ("http://example.org/fhir/Patient/77", "http://example.org/fhir/Patient/77"),
    "relative to the other's base": ("http://example.org/fhir/Patient/77", "Patient/77"),
    "own base": (f"{BASE}/Patient/77", f"{BASE}/Patient/77"),
    "own base, relative": (f"{BASE}/Patient/77", "Patient/77"),
    "no URL at all": ("my-patient", "my-patient"),
    "upper case": (P.upper().replace("URN:UUID", "urn:uuid"), P.upper().replace("URN:UUID", "urn:uuid")),
}


@pytest.mark.parametrize("what", FULL_URLS)
async def test_references_equal_to_a_full_url_are_rewritten(fhir: Fhir, what: str) -> None:
    full_url, reference = FULL_URLS[what]
    own = full_url.replace("Patient/77", "Observation/5") if full_url.startswith("http") else O
    answer = await post(
        fhir,
        entry("POST", "Observation", observation(subject=reference), own),
        entry("POST", "Patient", patient(), full_url),
    )
    assert answer.status == 200, answer.body
    found = (await fhir.get(place(answer, 0))).json
    assert found["subject"]["reference"] == place(answer, 1)


@pytest.mark.parametrize(
    ("full_url", "reference"),
    [
        ("http://example.org/fhir/Patient/77", "http://example.org/fhir/Patient/7"),
        ("http://example.org/fhir/Patient/77", "http://elsewhere.org/fhir/Patient/77"),
        (P, "urn:uuid:00000000-0000-4000-8000-000000000000"),
        (P, "Patient/77"),
        (P, "#contained"),
    ],
)
async def test_references_to_others_are_left_untouched(fhir: Fhir, full_url: str, reference: str) -> None:
    contained = {"contained": [patient("contained")]} if reference[0] == "#" else {}
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(), full_url),
        entry("POST", "Observation", observation(subject=reference, **contained), O),
    )
    assert answer.status == 200, answer.body
    assert (await fhir.get(place(answer, 1))).json["subject"]["reference"] == reference


async def test_a_relative_reference_is_resolved_against_its_own_full_url_only(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(), "http://one.org/Patient/1"),
        entry("POST", "Observation", observation(subject="Patient/1"), "http://two.org/Observation/1"),
        entry("POST", "Observation", observation(subject="Patient/1"), "http://one.org/Observation/1"),
    )
    assert (await fhir.get(place(answer, 1))).json["subject"]["reference"] == "Patient/1"
    assert (await fhir.get(place(answer, 2))).json["subject"]["reference"] == place(answer, 0)


async def test_references_to_updated_entries_lead_to_the_local_resource(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("PUT", "Patient/mine", patient("mine"), P),
        entry("POST", "Observation", observation(subject=P), O),
    )
    assert (await fhir.get(place(answer, 1))).json["subject"]["reference"] == "Patient/mine"


async def test_version_specific_references_stay_version_specific(fhir: Fhir) -> None:
    await fhir.put_all(patient("old"))
    url = "http://example.org/fhir/Patient/77"
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(), url),
        entry("POST", "Observation", observation(subject=f"{url}/_history/9"), O),
        entry("POST", "Observation", observation(subject=f"{P}/_history/3")),
        entry("PUT", "Patient/old", patient("old", active=True), P),
    )
    assert answer.status == 200, answer.body
    assert (await fhir.get(place(answer, 1))).json["subject"]["reference"] == f"{place(answer, 0)}/_history/1"
    assert (await fhir.get(place(answer, 2))).json["subject"]["reference"] == "Patient/old/_history/2"
    again = await post(
        fhir,
        entry("POST", "Observation", observation(subject=f"{P}/_history/3")),
        entry("PUT", "Patient/old", patient("old", active=True), P),
    )
    reference = (await fhir.get(place(again, 0))).json["subject"]["reference"]
    assert (await fhir.get(reference)).status == 200


def _raw(observation_: str) -> bytes:
    """A transaction of a Patient and an Observation that is text already."""
    return (
        '{"resourceType":"Bundle","type":"transaction","entry":['
        f'{{"fullUrl":"{P}","resource":{{"resourceType":"Patient"}},"request":{{"method":"POST","url":"Patient"}}}},'
        f'{{"resource":{observation_},"request":{{"method":"POST","url":"Observation"}}}}]}}'
    ).encode()


async def test_escaped_spellings_of_a_reference_are_understood(fhir: Fhir) -> None:
    spelt = P.replace(":", "\\u003a")
    body = (
        f'{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{spelt}"}}}}'
    )
    answer = await fhir.post("", _raw(body))
    assert (await fhir.get(place(answer, 1))).json["subject"]["reference"] == place(answer, 0)


async def test_links_in_uris_urls_extensions_and_narrative_are_replaced(fhir: Fhir) -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{P}">x</a><img src=\'{P}\' alt="{P}"/> {P}</div>'
    body = observation(
        text={"status": "generated", "div": div},
        extension=[
            {"url": "http://example.org/uri", "valueUri": P},
            {"url": "http://example.org/url", "valueUrl": P},
            {"url": "http://example.org/ref", "valueReference": {"reference": P}},
            {"url": "http://example.org/part", "valueUri": f"{P}#part"},
            {"url": "http://example.org/text", "valueString": P},
            {"url": "http://example.org/canonical", "valueCanonical": P},
        ],
        identifier=[{"system": P, "value": P}],
        contained=[resource("Basic", "b", code={"text": "x"}, subject={"reference": P})],
        focus=[{"reference": "#b"}],
    )
    answer = await post(fhir, entry("POST", "Patient", patient(), P), entry("POST", "Observation", body, O))
    assert answer.status == 200, answer.body
    where = place(answer, 0)
    found = (await fhir.get(place(answer, 1))).json
    uri, url, ref, part, text, canonical = found["extension"]
    assert (uri["valueUri"], url["valueUrl"], ref["valueReference"]["reference"]) == (where, where, where)
    assert part["valueUri"] == f"{where}#part"
    assert (text["valueString"], canonical["valueCanonical"]) == (P, P)
    assert found["identifier"] == [{"system": where, "value": P}]
    assert found["contained"][0]["subject"]["reference"] == where
    assert f'<a href="{where}">x</a><img src=\'{where}\' alt="{P}"/> {P}</div>' in found["text"]["div"]


@pytest.mark.parametrize("link", [f'"subject":{{"reference":"{P}"}}', f'"identifier":[{{"system":"{P}"}}]'])
async def test_replacing_links_keeps_decimals_and_order(fhir: Fhir, link: str) -> None:
    kept = '"valueQuantity":{"value":1.200},"status":"final","code":{"text":"x"}'
    answer = await fhir.post("", _raw(f'{{"resourceType":"Observation",{kept},{link}}}'))
    found = await fhir.get(place(answer, 1))
    assert kept.encode() in found.body
    assert P.encode() not in found.body


async def test_a_full_url_that_stands_twice_is_refused(fhir: Fhir) -> None:
    answer = await post(fhir, entry("POST", "Patient", patient(), P), entry("POST", "Patient", patient(), P))
    assert (answer.status, answer.expressions) == (400, ["Bundle.entry[1].fullUrl"])


# --- conditional references


async def test_a_conditional_reference_is_replaced_by_its_one_match(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await post(fhir, entry("POST", "Observation", observation(subject="Patient?identifier=urn:test|1")))
    assert (await fhir.get(place(answer, 0))).json["subject"]["reference"] == "Patient/a"


async def test_a_conditional_reference_finds_what_the_same_transaction_creates(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("POST", "Observation", observation(subject="Patient?identifier=urn:test|1")),
        entry("POST", "Patient", patient(identifier=ONE)),
        entry("POST", "Observation", observation(subject="Patient?identifier=urn:test|2")),
        entry("PUT", "Patient/b", patient("b", identifier=identifier("2"))),
    )
    assert answer.status == 200, answer.body
    assert (await fhir.get(place(answer, 0))).json["subject"]["reference"] == place(answer, 1)
    assert (await fhir.get(place(answer, 2))).json["subject"]["reference"] == "Patient/b"


CONDITIONAL = {
    "Patient?identifier=none": 412,
    "Patient?active=true": 412,
    "Patient?colour=red": 400,
    "Patient?": 412,
    "Patient?_count=1": 412,
    "Nothing?identifier=1": 404,
    "Patient?identifier=gone": 412,
}


@pytest.mark.parametrize("reference", CONDITIONAL)
async def test_a_conditional_reference_without_exactly_one_match_fails_the_whole(fhir: Fhir, reference: str) -> None:
    await fhir.put_all(
        patient("a", active=True), patient("b", active=True), patient("c", identifier=identifier("gone"))
    )
    answer = await post(
        fhir, entry("POST", "Observation", observation(subject=reference)), entry("DELETE", "Patient/c")
    )
    assert answer.status == CONDITIONAL[reference], answer.body
    assert (await fhir.get("Observation")).ids == []
    assert (await fhir.get("Patient/c")).status == 200


async def test_a_conditional_reference_counts_a_match_once_that_the_transaction_updates(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await post(
        fhir,
        entry("POST", "Observation", observation(subject="Patient?identifier=1")),
        entry("PUT", "Patient/a", patient("a", identifier=ONE, active=True)),
    )
    assert (await fhir.get(place(answer, 0))).json["subject"]["reference"] == "Patient/a"


async def test_outside_of_transactions_a_conditional_reference_is_not_resolved(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await fhir.post("Observation", observation(subject="Patient?identifier=1"))
    assert answer.status == 422 or answer.json["subject"]["reference"] == "Patient?identifier=1"


# --- conditions of entries


async def test_conditional_creates_updates_and_deletes_work_inside(fhir: Fhir) -> None:
    await fhir.put_all(*(patient(id_, identifier=identifier(id_)) for id_ in ("a", "b", "c")))
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(), P, ifNoneExist="identifier=a"),
        entry("POST", "Patient", patient(identifier=identifier("d")), ifNoneExist="identifier=d"),
        entry("PUT", "Patient?identifier=b", patient(identifier=identifier("b"), active=True)),
        entry("PUT", "Patient?identifier=e", patient("e", identifier=identifier("e"))),
        entry("DELETE", "Patient?identifier=c"),
        entry("DELETE", "Patient?identifier=none"),
        entry("POST", "Observation", observation(subject=P)),
        entry("PATCH", "Patient/a", json_patch({"op": "add", "path": "/active", "value": True}), ifMatch='W/"1"'),
    )
    assert answer.status == 200, answer.body
    assert [each["response"]["status"][:3] for each in answer.entries] == [
        "200", "201", "200", "201", "204", "204", "201", "200",
    ]  # fmt: skip
    assert place(answer, 0) == "Patient/a"
    assert place(answer, 2) == "Patient/b"
    assert (await fhir.get("Patient/e")).status == 200
    assert (await fhir.get("Patient/c")).status == 410
    assert (await fhir.get(place(answer, 6))).json["subject"]["reference"] == "Patient/a"
    assert (await fhir.get("Patient/a")).json["active"] is True


async def test_conditional_patches_work_inside(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    patching = json_patch({"op": "add", "path": "/active", "value": True})
    assert (await post(fhir, entry("PATCH", "Patient?identifier=1", patching))).status == 200
    assert (await fhir.get("Patient/a")).json["active"] is True
    assert (await post(fhir, entry("PATCH", "Patient?identifier=2", patching))).status == 404


async def test_references_in_patched_content_are_rewritten(fhir: Fhir) -> None:
    await fhir.put_all(observation("o"))
    patching = json_patch({"op": "add", "path": "/subject", "value": {"reference": P}})
    answer = await post(fhir, entry("PATCH", "Observation/o", patching), entry("POST", "Patient", patient(), P))
    assert (await fhir.get("Observation/o")).json["subject"]["reference"] == place(answer, 1)


async def test_a_delete_comes_before_a_conditional_create(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(identifier=ONE), ifNoneExist="identifier=1"),
        entry("DELETE", "Patient/a"),
    )
    assert [each["response"]["status"][:3] for each in answer.entries] == ["201", "204"]
    assert len((await fhir.get("Patient?identifier=1")).ids) == 1


async def test_two_conditional_creates_of_one_thing_make_one(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("POST", "Patient", patient(identifier=ONE), P, ifNoneExist="identifier=1"),
        entry("POST", "Patient", patient(identifier=ONE), O, ifNoneExist="identifier=1"),
        entry("POST", "Observation", observation(subject=O)),
    )
    assert answer.status == 200, answer.body
    assert [each["response"]["status"][:3] for each in answer.entries] == ["201", "200", "201"]
    assert place(answer, 0) == place(answer, 1)
    assert (await fhir.get(place(answer, 2))).json["subject"]["reference"] == place(answer, 0)


OVERLAPS = {
    "two updates": [entry("PUT", "Patient/a", patient("a")), entry("PUT", "Patient/a", patient("a", active=True))],
    "update and delete": [entry("PUT", "Patient/a", patient("a")), entry("DELETE", "Patient/a")],
    "two deletes": [entry("DELETE", "Patient/a"), entry("DELETE", "Patient/a")],
    "update and patch": [
        entry("PUT", "Patient/a", patient("a")), entry("PATCH", "Patient/a", json_patch()),
    ],
    "delete and conditional delete": [entry("DELETE", "Patient/a"), entry("DELETE", "Patient?identifier=1")],
    "update and conditional update": [
        entry("PUT", "Patient/a", patient("a")), entry("PUT", "Patient?identifier=1", patient(identifier=ONE)),
    ],
    "two conditional updates of one": [
        entry("PUT", "Patient?identifier=1", patient()), entry("PUT", "Patient?_id=a", patient()),
    ],
    "create and conditional update of it": [
        entry("POST", "Patient", patient(identifier=identifier("9"))),
        entry("PUT", "Patient?identifier=9", patient(identifier=identifier("9"))),
    ],
    "two conditional deletes": [entry("DELETE", "Patient?_id=a"), entry("DELETE", "Patient?identifier=1")],
}  # fmt: skip


@pytest.mark.parametrize("what", OVERLAPS)
async def test_entries_about_one_resource_fail_the_whole(fhir: Fhir, what: str) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    answer = await post(fhir, *OVERLAPS[what])
    assert answer.status == 400, answer.body
    assert answer.expressions == ["Bundle.entry[1]"]
    assert (await fhir.get("Patient/a")).version == 1


async def test_the_outcome_does_not_depend_on_the_order_of_entries(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    entries = [
        entry("GET", "Patient?identifier=1"),
        entry("POST", "Observation", observation(subject=P)),
        entry("POST", "Patient", patient(identifier=ONE), P),
        entry("DELETE", "Patient/a"),
    ]
    answer = await post(fhir, *entries)
    assert answer.status == 200
    assert answer.entries[0]["resource"]["total"] == 1
    assert (await fhir.get(place(answer, 1))).json["subject"]["reference"] == place(answer, 2)


# --- reads inside


async def test_reads_and_searches_see_the_result(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=False))
    answer = await post(
        fhir,
        entry("GET", "Patient?active=true"),
        entry("GET", "Patient/a"),
        entry("GET", "Patient/b"),
        entry("GET", "Patient/a/_history"),
        entry("HEAD", "Patient/a"),
        entry("PUT", "Patient/a", patient("a", active=True)),
        entry("PUT", "Patient/b", patient("b", active=True)),
    )
    assert answer.status == 200, answer.body
    assert answer.entries[0]["resource"]["total"] == 2
    assert answer.entries[1]["resource"]["active"] is True
    assert answer.entries[2]["resource"]["id"] == "b"
    assert answer.entries[3]["resource"]["total"] == 2
    assert "resource" not in answer.entries[4]


async def test_a_read_of_what_the_transaction_deletes_fails_the_whole(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    answer = await post(fhir, entry("GET", "Patient/a"), entry("DELETE", "Patient/a"))
    assert (answer.status, answer.expressions) == (410, ["Bundle.entry[0].request.url"])
    assert (await fhir.get("Patient/a")).status == 200


async def test_a_transaction_of_reads_alone_fails_with_the_first_that_fails(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"))
    assert (await post(fhir, entry("GET", "Patient/a"), entry("GET", "Patient"))).status == 200
    answer = await post(fhir, entry("GET", "Patient/a"), entry("GET", "Patient/none"))
    assert (answer.status, answer.expressions) == (404, ["Bundle.entry[1]"])


# --- preferences, no-ops, races


async def test_prefer_says_what_entries_bring(fhir: Fhir) -> None:
    entries = [entry("POST", "Patient", patient(), ifNoneExist="_id=x"), entry("DELETE", "Patient/none")]
    plain = await post(fhir, *entries)
    assert all(each.keys() == {"response"} for each in plain.entries)
    full = await post(fhir, *entries, prefer="return=representation")
    assert full.entries[0]["resource"]["meta"]["versionId"] == "1"
    assert full.entries[0]["fullUrl"] == f"{BASE}/{place(full, 0)}"
    told = await post(fhir, *entries, prefer="return=OperationOutcome")
    assert all(each["response"]["outcome"]["issue"][0]["severity"] == "information" for each in told.entries)


async def test_updates_with_the_same_content_make_no_new_version(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True))
    answer = await post(fhir, entry("PUT", "Patient/a", patient("a", active=True)))
    assert answer.entries[0]["response"]["status"] == "200 OK"
    assert answer.entries[0]["response"]["etag"] == 'W/"1"'
    assert (await fhir.get("_history")).json["total"] == 1


async def test_of_many_transactions_at_once_with_one_condition_one_creates(fhir: Fhir) -> None:
    def entries(number: int) -> list[Any]:
        return [
            entry("POST", "Patient", patient(identifier=ONE), P, ifNoneExist="identifier=1"),
            entry("POST", "Observation", observation(subject=P, note=[{"text": str(number)}])),
        ]

    answers = await asyncio.gather(*(post(fhir, *entries(number)) for number in range(25)))
    assert {answer.status for answer in answers} == {200}
    statuses = sorted(answer.entries[0]["response"]["status"] for answer in answers)
    assert statuses == ["200 OK"] * 24 + ["201 Created"]
    (id_,) = (await fhir.get("Patient")).ids
    assert (await fhir.get(f"Observation?subject=Patient/{id_}&_count=0")).json["total"] == 25


async def test_a_match_deleted_before_the_commit_makes_the_transaction_plan_again(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    creating = [
        post(
            fhir,
            entry("POST", "Patient", patient(identifier=ONE), P, ifNoneExist="identifier=1"),
            entry("POST", "Observation", observation(subject=P)),
        )
        for _ in range(5)
    ]
    answers = await asyncio.gather(*creating, *(fhir.delete("Patient?identifier=1") for _ in range(5)))
    assert {answer.status for answer in answers} <= {200, 204, 409}
    for found in (await fhir.get("Observation")).resources:
        assert (await fhir.get(found["subject"]["reference"])).status == 200


async def test_patches_in_a_race_are_all_applied(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", identifier=ONE))
    patches = [
        json_patch({"op": "add", "path": "/identifier/-", "value": {"value": f"n{number}"}}) for number in range(10)
    ]
    answers = await asyncio.gather(*(post(fhir, entry("PATCH", "Patient/a", patching)) for patching in patches))
    assert {answer.status for answer in answers} == {200}
    assert len((await fhir.get("Patient/a")).json["identifier"]) == 11


async def test_large_transactions_are_prepared_beside_the_loop_with_the_same_result(fhir: Fhir) -> None:
    note = [{"text": "x" * 1_000}]
    many = [entry("POST", "Observation", observation(subject=P, note=note)) for _ in range(200)]
    answer = await post(fhir, *many, entry("POST", "Patient", patient(), P))
    assert answer.status == 200
    assert (await fhir.get(f"Observation?subject={place(answer, 200)}&_summary=count")).json["total"] == 200
    many[77] = entry("POST", "Observation", observation(status="x", note=note))
    answer = await post(fhir, *many, entry("POST", "Patient", patient(), P))
    assert (answer.status, answer.expressions) == (422, ["Bundle.entry[77].resource.status"])


async def test_too_many_entries_are_refused(serve: Serve) -> None:
    fhir = await serve(max_entries=2)
    assert (await post(fhir, *(entry("POST", "Patient", patient()) for _ in range(3)))).status == 413


async def test_binaries_bundles_and_search_parameters_can_be_written_inside(fhir: Fhir) -> None:
    answer = await post(
        fhir,
        entry("POST", "Binary", resource("Binary", contentType="text/plain", data="eA==")),
        entry("POST", "Bundle", bundle("collection") | {"entry": [{"resource": patient("z")}]}),
    )
    assert answer.status == 200, answer.body
