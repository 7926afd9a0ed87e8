"""Referential integrity, both ways. Spec: https://hl7.org/fhir/R4/http.html#delete"""

import asyncio

from tests.builders import bundle, entry, observation, patient
from tests.conformance.http.fhir import Fhir, Serve


async def test_what_others_refer_to_cannot_be_deleted(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), observation("o", subject="Patient/a"))
    answer = await fhir.delete("Patient/a")
    assert (answer.status, answer.json["issue"][0]["code"]) == (409, "conflict")
    assert "Observation/o" in answer.text
    assert (await fhir.get("Patient/a")).status == 200


async def test_ten_referrers_are_named_at_most(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), *(observation(f"o{number}", subject="Patient/a") for number in range(15)))
    answer = await fhir.delete("Patient/a")
    assert answer.text.count("Observation/") == 10
    assert "others" in answer.text


async def test_once_the_referrer_is_gone_the_target_can_go(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), observation("o", subject="Patient/a"))
    await fhir.delete("Observation/o")
    assert (await fhir.delete("Patient/a")).status == 204


async def test_once_the_referrer_refers_elsewhere_the_target_can_go(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), patient("b"), observation("o", subject="Patient/a"))
    await fhir.put_all(observation("o", subject="Patient/b"))
    assert (await fhir.delete("Patient/a")).status == 204


async def test_a_reference_to_itself_does_not_keep_a_resource(fhir: Fhir) -> None:
    link = [{"other": {"reference": "Patient/a"}, "type": "seealso"}]
    await fhir.put_all(patient("a", link=link))
    assert (await fhir.delete("Patient/a")).status == 204


async def test_an_absolute_reference_to_this_server_keeps_its_target(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), observation("o", subject="http://test/fhir/Patient/a"))
    assert (await fhir.delete("Patient/a")).status == 409


async def test_conditional_delete_keeps_integrity_too(fhir: Fhir) -> None:
    await fhir.put_all(patient("a", active=True), patient("b", active=True), observation("o", subject="Patient/a"))
    assert (await fhir.delete("Patient?active=true")).status == 409
    assert (await fhir.get("Patient/b")).status == 200


async def test_integrity_on_delete_can_be_switched_off(serve: Serve) -> None:
    fhir = await serve(integrity_on_delete=False)
    await fhir.put_all(patient("a"), observation("o", subject="Patient/a"))
    assert (await fhir.delete("Patient/a")).status == 204


async def test_a_transaction_may_delete_target_and_referrer_together(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), observation("o", subject="Patient/a"))
    answer = await fhir.post("", bundle("transaction", entry("DELETE", "Patient/a"), entry("DELETE", "Observation/o")))
    assert answer.status == 200
    assert (await fhir.get("Patient/a")).status == 410


async def test_a_transaction_that_leaves_a_referrer_is_refused_whole(fhir: Fhir) -> None:
    await fhir.put_all(patient("a"), patient("b"), observation("o", subject="Patient/a"))
    answer = await fhir.post("", bundle("transaction", entry("DELETE", "Patient/b"), entry("DELETE", "Patient/a")))
    assert answer.status == 409
    assert (await fhir.get("Patient/b")).status == 200


async def test_references_to_nothing_are_accepted_by_default(fhir: Fhir) -> None:
    assert (await fhir.post("Observation", observation(subject="Patient/none"))).status == 201


async def test_references_to_nothing_can_be_refused(serve: Serve) -> None:
    fhir = await serve(integrity_on_write=True)
    answer = await fhir.post("Observation", observation(subject="Patient/none"))
    assert (answer.status, answer.json["issue"][0]["code"]) == (409, "not-found")
    assert "Patient/none" in answer.text
    await fhir.put_all(patient("a"))
    assert (await fhir.post("Observation", observation(subject="Patient/a"))).status == 201
    await fhir.put_all(patient("gone"))
    await fhir.delete("Patient/gone")
    assert (await fhir.post("Observation", observation(subject="Patient/gone"))).status == 409


async def test_integrity_of_writes_reaches_references_that_no_search_parameter_has(serve: Serve) -> None:
    fhir = await serve(integrity_on_write=True)
    note = [{"authorReference": {"reference": "Practitioner/none"}, "text": "x"}]
    assert (await fhir.post("Observation", observation(note=note))).status == 409


async def test_local_absolute_and_logical_references_need_no_target(serve: Serve) -> None:
    fhir = await serve(integrity_on_write=True)
    for subject in ("#p", "http://example.org/fhir/Patient/1", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"):
        contained = {"contained": [patient("p")]} if subject == "#p" else {}
        answer = await fhir.post("Observation", observation(subject=subject, **contained))
        assert answer.status == 201, subject
    body = observation()
    body["subject"] = {"identifier": {"value": "1"}}
    assert (await fhir.post("Observation", body)).status == 201


async def test_a_transaction_may_refer_to_what_it_creates(serve: Serve) -> None:
    fhir = await serve(integrity_on_write=True)
    urn = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
    answer = await fhir.post(
        "",
        bundle(
            "transaction",
            entry("POST", "Observation", observation(subject=urn)),
            entry("POST", "Patient", patient(), urn),
            entry("PUT", "Observation/o", observation("o", subject="Patient/x")),
            entry("PUT", "Patient/x", patient("x")),
        ),
    )
    assert answer.status == 200, answer.body


async def test_a_target_deleted_while_a_referrer_is_created_never_leaves_a_dangling_reference(serve: Serve) -> None:
    fhir = await serve(integrity_on_write=True)
    await fhir.put_all(*(patient(f"p{number}") for number in range(10)))
    answers = await asyncio.gather(
        *(
            call
            for number in range(10)
            for call in (
                fhir.put(f"Observation/o{number}", observation(f"o{number}", subject=f"Patient/p{number}")),
                fhir.delete(f"Patient/p{number}"),
            )
        )
    )
    for written, deleted in zip(answers[::2], answers[1::2], strict=True):
        assert {written.status, deleted.status} in ({201, 409}, {409, 204})
