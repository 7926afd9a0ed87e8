"""What a caller sees who may not see everything: for them the rest is as if it were not there."""

import pytest

from tests.builders import bundle, entry, identifier, json_patch, observation, patient
from tests.conformance.http.callers import Sees, all_but, having, let_in
from tests.conformance.http.fhir import Fhir

LINK = [{"other": {"reference": "Patient/seen"}, "type": "seealso"}]


@pytest.fixture
async def restricted(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> Fhir:
    """A client who sees active patients, on a store with one of each kind."""
    await fhir.put_all(
        patient("seen", active=True, identifier=identifier("1")),
        patient("unseen", active=False, identifier=identifier("2"), link=LINK),
        patient("both", active=True),
        patient("both", active=False),
        observation("o", subject="Patient/unseen"),
        observation("p", subject="Patient/seen"),
        patient("unseen-gone", active=False),
    )
    await fhir.delete("Patient/unseen-gone")
    let_in(monkeypatch, Sees({"Patient": having("active", "true")}, all_but(types=["Device"])))
    return fhir


async def test_read_of_an_unseen_resource_answers_as_for_one_that_never_existed(restricted: Fhir) -> None:
    seen, unseen, never = [await restricted.get(f"Patient/{id_}") for id_ in ("seen", "unseen", "never")]
    assert (seen.status, unseen.status, never.status) == (200, 404, 404)
    assert unseen.body.replace(b"unseen", b"never") == never.body


async def test_a_deletion_of_what_was_unseen_is_unseen(restricted: Fhir) -> None:
    assert (await restricted.get("Patient/unseen-gone")).status == 404


async def test_an_old_version_is_seen_by_who_may_see_it_and_the_current_one(restricted: Fhir) -> None:
    assert (await restricted.get("Patient/both")).status == 404
    assert (await restricted.get("Patient/both/_history/1")).status == 404
    assert (await restricted.get("Patient/both/_history/2")).status == 404


async def test_searches_find_and_include_only_what_is_seen(restricted: Fhir) -> None:
    assert (await restricted.get("Patient")).ids == ["seen"]
    assert (await restricted.get("Patient?identifier=2")).ids == []
    assert (await restricted.get("Observation?subject.identifier=2")).ids == []
    found = await restricted.get("Observation?_include=Observation:subject&_sort=_id")
    assert found.ids == ["o", "p", "seen"]


async def test_history_shows_only_what_is_seen(restricted: Fhir) -> None:
    found = await restricted.get("Patient/_history")
    assert {each["fullUrl"].rpartition("/")[2] for each in found.entries} == {"seen"}
    assert found.json["total"] == len(found.entries) == 1
    assert (await restricted.get("Patient/unseen/_history")).status == 404


async def test_conditions_look_only_at_what_is_seen(restricted: Fhir) -> None:
    answer = await restricted.post("Patient", patient(active=True), if_none_exist="identifier=2")
    assert answer.status == 201
    assert (await restricted.delete("Patient?identifier=2")).status == 204


async def test_writes_to_what_is_unseen_are_refused_or_have_no_effect(restricted: Fhir) -> None:
    assert (await restricted.put("Patient/unseen", patient("unseen", active=True))).status == 403
    patching = [{"op": "replace", "path": "/active", "value": True}]
    content_type = "application/json-patch+json"
    assert (await restricted("PATCH", "Patient/unseen", patching, content_type=content_type)).status == 404
    assert (await restricted.delete("Patient/unseen")).status == 204
    answer = await restricted.post("", bundle("transaction", entry("PATCH", "Patient/unseen", json_patch())))
    assert answer.status == 404
    answer = await restricted.post(
        "", bundle("transaction", entry("GET", "Patient/unseen"), entry("POST", "Patient", patient()))
    )
    assert answer.status == 404


async def test_referrers_that_are_unseen_do_not_stand_in_the_way_of_a_delete(restricted: Fhir) -> None:
    answer = await restricted.delete("Patient/seen")
    assert answer.status == 409
    assert answer.text.endswith("referred to by Observation/p")
    await restricted.delete("Observation/p")
    assert (await restricted.delete("Patient/seen")).status == 204


async def test_types_that_may_not_be_touched_are_forbidden_everywhere(restricted: Fhir) -> None:
    assert (await restricted.get("Device")).status == 403
    (inner,) = (await restricted.post("", bundle("batch", entry("GET", "Device")))).entries
    assert inner["response"]["status"] == "403 Forbidden"
    assert (await restricted.post("", bundle("transaction", entry("GET", "Device")))).status == 403
