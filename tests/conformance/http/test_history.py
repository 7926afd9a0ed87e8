"""History of a resource, a type and the system. Spec: https://hl7.org/fhir/R4/http.html#history"""

from typing import Any

import pytest

from tests.builders import observation, patient, resource
from tests.conformance.http.fhir import BASE, START, Fhir, Serve


async def _grow(fhir: Fhir) -> None:
    """Make five versions, ten seconds apart: Patient a twice, Observation o, Patient b, and a's deletion."""
    await fhir.put_all(patient("a", active=True))
    for step in (
        lambda: fhir.put("Patient/a", patient("a", active=False)),
        lambda: fhir.put("Observation/o", observation("o")),
        lambda: fhir.post("Patient", patient(gender="other")),
        lambda: fhir.delete("Patient/a"),
    ):
        fhir.clock.now += 10_000
        await step()


def _what(entries: list[Any]) -> list[str]:
    return [
        f"{entry['request']['method']} {entry['fullUrl'].rpartition('/')[2]} {entry['response']['etag'][3:-1]}"
        for entry in entries
    ]


async def test_history_of_a_resource_has_all_its_versions_newest_first(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("Patient/a/_history")
    assert answer.status == 200
    assert (answer.json["type"], answer.json["total"]) == ("history", 3)
    assert _what(answer.entries) == ["DELETE a 3", "PUT a 2", "PUT a 1"]


async def test_history_of_a_type_and_of_the_system(fhir: Fhir) -> None:
    await _grow(fhir)
    assert _what((await fhir.get("Patient/_history")).entries) == [
        "DELETE a 3", "POST new-1 1", "PUT a 2", "PUT a 1",
    ]  # fmt: skip
    assert _what((await fhir.get("_history")).entries)[2] == "PUT o 1"


async def test_a_deletion_has_no_resource_and_everything_else_has_one(fhir: Fhir) -> None:
    await _grow(fhir)
    for entry in (await fhir.get("_history")).entries:
        assert ("resource" in entry) is (entry["request"]["method"] != "DELETE")


async def test_entries_tell_request_response_and_address(fhir: Fhir) -> None:
    await _grow(fhir)
    deleted, created, updated, first = (await fhir.get("Patient/_history")).entries
    assert deleted["request"] == {"method": "DELETE", "url": "Patient/a"}
    assert deleted["response"]["status"] == "204 No Content"
    assert deleted["fullUrl"] == f"{BASE}/Patient/a"
    assert created["request"] == {"method": "POST", "url": "Patient"}
    assert created["response"]["status"] == "201 Created"
    assert updated["response"] == {"status": "200 OK", "etag": 'W/"2"', "lastModified": "2023-11-14T22:13:30.000Z"}
    assert first["response"]["status"] == "201 Created"


async def test_history_of_what_was_deleted_is_there_and_of_what_never_was_is_not(fhir: Fhir) -> None:
    await _grow(fhir)
    assert (await fhir.get("Patient/a/_history")).status == 200
    assert (await fhir.get("Patient/none/_history")).status == 404
    assert (await fhir.get("Device/_history")).json["total"] == 0


SINCE = {
    "2023-11-14T22:13:30.000Z": 4,
    "2023-11-14T22:13:30.001Z": 3,
    "2023-11-14T22:13:30Z": 4,
    "2023-11-15T00:13:30+02:00": 4,
    "2023-11-15T00:13:30 02:00": 4,
    "2023-11-14": 5,
    "2023": 5,
    "2024": 0,
}


@pytest.mark.parametrize("since", SINCE)
async def test_since_leaves_versions_made_at_or_after_it(fhir: Fhir, since: str) -> None:
    await _grow(fhir)
    answer = await fhir.get(f"_history?_since={since.replace('+', '%2B')}")
    assert len(answer.entries) == answer.json["total"] == SINCE[since]


AT = {
    "2023-11-14T22:13:25Z": ["PUT a 1"],
    "2023-11-14T22:13:30Z": ["PUT a 2", "PUT a 1"][:1],
    "2023-11-14T22:13:45Z": ["PUT o 1", "PUT a 2"],
    "2023-11-14T22:14:30Z": ["DELETE a 3", "POST new-1 1", "PUT o 1"],
    "2022": [],
}


@pytest.mark.parametrize("at", AT)
async def test_at_leaves_versions_that_were_current_then(fhir: Fhir, at: str) -> None:
    await _grow(fhir)
    assert _what((await fhir.get(f"_history?_at={at}")).entries) == AT[at]


async def test_at_a_period_leaves_all_that_were_current_within_it(fhir: Fhir) -> None:
    await _grow(fhir)
    assert len((await fhir.get("_history?_at=2023-11-14T22:13")).entries) == 4
    assert len((await fhir.get("_history?_at=2023")).entries) == 5


async def test_count_limits_a_page_and_links_lead_through_all_pages(fhir: Fhir) -> None:
    await _grow(fhir)
    seen, url = [], "_history?_count=2"
    while url:
        answer = await fhir.get(url)
        assert len(answer.entries) <= 2
        assert answer.json["total"] == 5
        seen += _what(answer.entries)
        url = answer.link("next") or ""
    assert seen == _what((await fhir.get("_history")).entries)


async def test_pages_do_not_shift_while_others_write(fhir: Fhir) -> None:
    await _grow(fhir)
    before = _what((await fhir.get("_history")).entries)
    first = await fhir.get("_history?_count=2")
    await fhir.put_all(patient("c"), patient("d"))
    second = await fhir.get(first.link("next") or "")
    third = await fhir.get(second.link("next") or "")
    assert _what(first.entries + second.entries + third.entries) == before
    assert third.link("next") is None


async def test_pages_within_one_commit_neither_repeat_nor_drop(fhir: Fhir) -> None:
    entries = [{"request": {"method": "PUT", "url": f"Patient/p{n}"}, "resource": patient(f"p{n}")} for n in range(7)]
    await fhir.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    seen, url = [], "_history?_count=3"
    while url:
        answer = await fhir.get(url)
        seen += _what(answer.entries)
        url = answer.link("next") or ""
    assert sorted(seen) == sorted(f"PUT p{n} 1" for n in range(7))


async def test_count_zero_tells_the_total_alone(fhir: Fhir) -> None:
    await _grow(fhir)
    answer = await fhir.get("_history?_count=0")
    assert (answer.entries, answer.json["total"], answer.link("next")) == ([], 5, None)


async def test_self_link_says_what_was_applied(fhir: Fhir) -> None:
    answer = await fhir.get("Patient/_history?_count=3&_since=2020")
    assert answer.link("self") == f"{BASE}/Patient/_history?_count=3&_since=2020"


async def test_list_leaves_the_resources_that_a_list_names(fhir: Fhir) -> None:
    await _grow(fhir)
    items = [{"item": {"reference": "Patient/a"}}, {"item": {"reference": "Observation/o"}}]
    await fhir.put_all(resource("List", "l", status="current", mode="working", entry=items))
    assert _what((await fhir.get("_history?_list=l")).entries) == ["DELETE a 3", "PUT o 1", "PUT a 2", "PUT a 1"]
    assert _what((await fhir.get("Observation/_history?_list=List/l")).entries) == ["PUT o 1"]
    for unknown in ("none", "$current-problems"):
        assert (await fhir.get(f"_history?_list={unknown}")).status == 400


BAD = {
    "_count=-1": "_count",
    "_count=x": "_count",
    "_count=": "_count",
    "_since=yesterday": "_since",
    "_since=2023-02-30": "_since",
    "_at=": "_at",
    "_page=x": "_page",
    "_page=1-2": "_page",
    "name=x": "name",
    "_sort=_lastUpdated": "_sort",
}


@pytest.mark.parametrize("query", BAD)
async def test_bad_parameters_are_refused_by_name(fhir: Fhir, query: str) -> None:
    answer = await fhir.get(f"_history?{query}")
    assert answer.status == 400
    assert answer.expressions == [f"http.{BAD[query]}"]


async def test_each_parameter_stands_at_most_once(fhir: Fhir) -> None:
    assert (await fhir.get("_history?_count=1&_count=2")).status == 400


async def test_unknown_parameters_can_be_ignored_and_the_self_link_says_so(fhir: Fhir) -> None:
    answer = await fhir.get("_history?colour=red&_count=1", prefer="handling=lenient")
    assert answer.status == 200
    assert answer.link("self") == f"{BASE}/_history?_count=1"


async def test_a_page_is_never_larger_than_the_limit(serve: Serve) -> None:
    fhir = await serve(max_page_size=2, page_size=1)
    await _grow(fhir)
    assert len((await fhir.get("_history")).entries) == 1
    assert len((await fhir.get("_history?_count=1000000")).entries) == 2


async def test_a_no_op_update_is_not_in_the_history(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), patient("a"))
    assert (await fhir.get("_history")).json["total"] == 1


async def test_versions_in_a_history_can_be_cut_to_a_summary(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True, maritalStatus={"text": "m"}))
    (found,) = (await fhir.get("_history?_summary=true")).resources
    assert found["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "maritalStatus" not in found


async def test_history_tells_when_it_was_made(fhir: Fhir) -> None:
    assert START == 1_700_000_000_000
    assert (await fhir.get("_history")).json["meta"]["lastUpdated"] == "2023-11-14T22:13:20.000Z"
