"""Requests that mean harm to the audit: none makes it fail, now or when it is read."""

import pytest

from fhir_server.audit.events import Agent, Event, agent_text, row_of
from tests.conformance.audit.conftest import Audited

NASTY = ["%00", "%ED%A0%80", "%EF%BF%BE", "%0B%1F%7F", "%22%5C%5Cu0000", "%C2%85", "%F0%9F%98%80", "Patient%2F..%2F"]


@pytest.mark.parametrize("text", NASTY)
async def test_no_text_of_a_client_breaks_the_audit(audited: Audited, text: str) -> None:
    token = await audited.ehr.bearer("user/*.cruds", user=audited.ehr.doctor)
    headers = {"authorization": f"Bearer {token}", "x-purpose-of-use": "a\x7fb", "x-forwarded-for": "no address"}
    for path in (
        f"Patient?name={text}",
        f"Patient/{text}",
        f"Patient/ann/${text}",
        f"Observation/{text}/_history/{text}",
    ):
        answer = await audited.ehr.http.get(f"/fhir/{path}", headers=headers)
        assert answer.status_code < 500, answer.text
    form = f"name={text}&password={text}&request={text}"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await audited.ehr.http.post("/auth/sign-in", content=form, headers=kind)).status_code < 500
    form = f"grant_type=client_credentials&client_id={text}"
    assert (await audited.ehr.http.post("/auth/token", content=form, headers=kind)).status_code < 500
    for query in ("_count=1000", "date=ge2000&_count=1000", "agent:missing=false&_count=0"):
        await audited.events(query)


async def test_rows_with_forbidden_characters_are_read_all_the_same(audited: Audited) -> None:
    agent = agent_text(Agent("a\0b", "Practitioner/x", "c\x1fd", address="\x7f", roles=("r\0",)))
    event = Event("read", 200, "Patient/\0", 1, ("ann",), purpose="p\0", note="n\0")
    await audited.ehr.desk.store.audit.append([row_of(1, agent, event)])
    found = await audited.events("agent=Practitioner/x")
    assert len(found) == 1
    assert "\0" not in str(found)


async def test_many_names_at_the_door_make_few_rows(audited: Audited) -> None:
    before = await audited.ehr.desk.store.audit.size()
    for number in range(30):
        for _ in range(4):
            await audited.ehr.http.get("/fhir/Patient", headers={"authorization": f"Bearer {number}"})
    await audited.events()
    assert await audited.ehr.desk.store.audit.size() - before <= 2
