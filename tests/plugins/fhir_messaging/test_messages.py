"""Messages are processed once, by plugins or by storing them, and answered the same each time."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fhir_messaging.registry import Registry

from tests.plugins.fhir_messaging.conftest import (
    ADMIT,
    ORDER,
    REFRESH,
    code_of,
    count,
    message,
    patient,
    processed,
    request,
)


async def defined(http: httpx.AsyncClient, **more: Any) -> None:
    definition = {"resourceType": "MessageDefinition", "url": "http://adt.example/A01", "status": "active",
                  "date": "2026-01-01", "category": "consequence", **ADMIT, **more}  # fmt: skip
    assert (await http.post("/MessageDefinition", json=definition)).status_code == 201


async def test_a_plugin_processes_its_event_and_the_response_names_the_request(http: httpx.AsyncClient) -> None:
    sent = message(ORDER, request(), patient())
    answer = await processed(http, sent)
    header = answer["entry"][0]["resource"]
    assert (answer["type"], header["response"]["code"]) == ("message", "ok")
    assert header["response"]["identifier"] == sent["entry"][0]["resource"]["id"]
    assert header["eventCoding"] == ORDER["eventCoding"]
    assert header["destination"] == [{"endpoint": "http://other.example/fhir/$process-message"}]
    assert header["focus"][0]["reference"] == answer["entry"][1]["fullUrl"]
    assert answer["entry"][1]["resource"]["description"] == "r1"
    assert await count(http, "Task") == 1


async def test_a_message_that_is_sent_again_gets_the_same_response(http: httpx.AsyncClient) -> None:
    sent = message(ORDER, request(), patient())
    first = await processed(http, sent)
    assert await processed(http, sent) == first
    assert await processed(http, {**sent, "id": str(uuid4())}) == first, "in a new envelope too"
    assert await count(http, "Task") == 1


async def test_the_same_message_many_times_at_once_is_processed_once(http: httpx.AsyncClient) -> None:
    sent = message(ORDER, request(), patient())
    answers = await asyncio.gather(*(processed(http, sent) for _ in range(8)))
    assert all(each == answers[0] for each in answers)
    assert await count(http, "Task") == 1


async def test_currency_is_processed_again_in_a_new_envelope_and_only_then(http: httpx.AsyncClient) -> None:
    sent = message(REFRESH, request(), patient())
    first = await processed(http, sent)
    assert await processed(http, sent) == first
    again = await processed(http, {**sent, "id": str(uuid4())})
    assert again["id"] != first["id"]
    assert await count(http, "Task") == 2


async def test_an_id_that_was_used_for_another_message_is_refused(http: httpx.AsyncClient) -> None:
    await processed(http, message(ORDER, request(), patient(), id_="m1", envelope="e1"))
    other = message(ORDER, request(id_="r2"), patient(), id_="m1", envelope="e2")
    answer = await processed(http, other)
    assert (code_of(answer), "says something else" in str(answer)) == ("fatal-error", True)
    assert await count(http, "Task") == 1


async def test_an_event_with_a_definition_is_stored_with_its_links(http: httpx.AsyncClient) -> None:
    await defined(http)
    answer = await processed(http, message(ADMIT, request(), patient()))
    assert code_of(answer) == "ok"
    found = (await http.get("/ServiceRequest?subject:Patient.identifier=http://adt.example/mrn|1")).json()
    assert len(found["entry"]) == 1
    await processed(http, message(ADMIT, request(id_="r2"), patient(gender="female")))
    assert await count(http, "Patient") == 1, "the identifier says who it is"
    assert await count(http, "Patient?gender=female") == 1


async def test_an_event_that_nobody_processes_is_a_fatal_error_until_somebody_does(http: httpx.AsyncClient) -> None:
    sent = message(ADMIT, patient())
    answer = await processed(http, sent)
    assert (code_of(answer), "does not process the event" in str(answer)) == ("fatal-error", True)
    outcome = answer["entry"][1]
    assert answer["entry"][0]["resource"]["response"]["details"]["reference"] == outcome["fullUrl"]
    await defined(http)
    assert code_of(await processed(http, sent)) == "ok"


async def test_the_focus_is_held_to_the_definition(http: httpx.AsyncClient) -> None:
    await defined(http, focus=[{"code": "Patient", "min": 1, "max": "1"}])
    answer = await processed(http, message(ADMIT, request(), patient()))
    assert (code_of(answer), "wants 1 to 1 Patient" in str(answer)) == ("fatal-error", True)
    assert code_of(await processed(http, message(ADMIT, patient()))) == "ok"


async def test_nothing_is_written_of_what_is_refused_and_the_refusal_stays(http: httpx.AsyncClient) -> None:
    sent = message(ORDER, request("invalid"), patient())
    first = await processed(http, sent)
    assert code_of(first) == "fatal-error"
    assert await processed(http, sent) == first
    assert await count(http, "Task") == 0


@pytest.mark.parametrize("how", ["throw", "slow"])
async def test_a_plugin_that_fails_is_a_transient_error_that_may_be_tried_again(
    http: httpx.AsyncClient, how: str
) -> None:
    from lab_orders.plugin import SEEN

    before, sent = len(SEEN), message(ORDER, request(how), patient())
    for _ in range(2):
        answer = await processed(http, sent)
        assert (code_of(answer), "secret" in str(answer)) == ("transient-error", False)
    assert len(SEEN) == before + 2


@pytest.mark.parametrize(
    ("bundle", "status", "said"),
    [
        ({"resourceType": "Bundle", "type": "message"}, 400, "MessageHeader"),
        ({"resourceType": "Bundle", "type": "batch", "entry": []}, 400, "MessageHeader"),
        ({"resourceType": "Bundle", "type": "message", "entry": [{"resource": patient()}]}, 400, "MessageHeader"),
        ({"resourceType": "Bundle", "type": "message", "entry": "x"}, 400, "MessageHeader"),
        ({"resourceType": "Bundle", "type": "message", "entry": [5]}, 400, "MessageHeader"),
        (message({}, patient()), 422, "event"),
        ({**message(ORDER, patient()), "colour": "red"}, 422, "colour"),
        ({"resourceType": "Patient"}, 400, "Parameters"),
        ({"resourceType": "Parameters", "parameter": [{"name": "content", "resource": patient()}]}, 400, "Bundle"),
    ],
)  # fmt: skip
async def test_what_is_no_message_is_refused(
    http: httpx.AsyncClient, bundle: dict[str, Any], status: int, said: str
) -> None:
    answer = await http.post("/$process-message", json=bundle)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


async def test_a_response_that_nobody_waits_for_is_refused(http: httpx.AsyncClient) -> None:
    answer = await processed(http, message(ORDER, request(), patient()))
    assert "no request of this server waits" in str(await processed(http, answer, 400))


def test_an_event_has_one_plugin() -> None:
    registry = Registry()

    async def handler(call: Any) -> None:
        return None

    registry.add("http://x", handler)
    with pytest.raises(ValueError, match="processed already"):
        registry.add("http://x", handler)
    with pytest.raises(ValueError, match="category"):
        registry.add("http://y", handler, category="gossip")  # type: ignore[arg-type]
