"""UPS-RS over HTTP: the life of workitems, searches, subscriptions and their channel."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.testing.server import TestServer, serving
from tests.plugins.only import but

BASE = "/dicomweb/workitems"
TRANSACTION = "1.2.840.99.1"


def dicom(**elements: Any) -> dict[str, Any]:
    """Return DICOM JSON: `CS_00741000="SCHEDULED"`."""
    found = {}
    for name, value in elements.items():
        vr, tag = name.split("_")
        found[tag] = {"vr": vr, "Value": value if isinstance(value, list) else [value]}
    return found


def workitem(label: str = "Read", start: str = "20260301090000", **more: Any) -> dict[str, Any]:
    """Return what a new workitem needs."""
    return dicom(
        CS_00741000="SCHEDULED", CS_00741200="MEDIUM", LO_00741204=label, DT_00404005=start, CS_00404041="READY",
        PN_00100010={"Alphabetic": "Lovelace^Ada"}, LO_00100020="MRN1", **more,
    )  # fmt: skip


def state(target: str, transaction: str = TRANSACTION) -> dict[str, Any]:
    return dicom(CS_00741000=target, UI_00081195=transaction)


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    settings = {"issuers": {"HOSP": "urn:hosp"}, "default_issuer": "HOSP", "ups_poll": 0.05}
    with serving(real_time=True, plugins_disabled=but("dicomweb"), plugins={"dicomweb": settings}) as found:
        yield found


def made(server: TestServer, uid: str, **more: Any) -> str:
    answer = server.client.post(f"{BASE}?{uid}", json=[workitem(**more)])
    assert answer.status_code == 201, answer.text
    return uid


def put_state(server: TestServer, uid: str, target: str, transaction: str = TRANSACTION) -> Any:
    return server.client.put(f"{BASE}/{uid}/state", json=state(target, transaction))


def value(found: Any, tag: str) -> Any:
    return found[0][tag]["Value"][0]


def test_the_life_of_a_workitem(server: TestServer) -> None:
    uid = made(server, "1.2.1")
    assert put_state(server, uid, "IN PROGRESS").status_code == 200
    busy = server.client.get(f"{BASE}/{uid}")
    assert value(busy.json(), "00741000") == "IN PROGRESS"
    assert "in progress" in busy.headers["warning"]
    assert "00081195" not in busy.json()[0]
    assert put_state(server, uid, "COMPLETED").status_code == 409
    performed = dicom(
        SQ_00404028=[dicom(SH_00080100="S1")], DT_00404050="20260301", DT_00404051="20260301",
        SQ_00404019=[dicom(SH_00080100="110005")],
    )  # fmt: skip
    done = dicom(SQ_00741216=[performed])
    assert server.client.post(f"{BASE}/{uid}?transaction-uid=1.9", json=[done]).status_code == 409
    assert server.client.post(f"{BASE}/{uid}?transaction-uid={TRANSACTION}", json=[done]).status_code == 200
    assert put_state(server, uid, "COMPLETED").status_code == 200
    again = put_state(server, uid, "COMPLETED")
    assert (again.status_code, "already" in again.headers["warning"]) == (200, True)
    assert server.client.post(f"{BASE}/{uid}?transaction-uid={TRANSACTION}", json=[done]).status_code == 409


def test_a_workitem_is_a_task_that_follows_it(server: TestServer) -> None:
    patient = server.client.post(
        "/fhir/Patient", json=server.patient(identifier=[{"system": "urn:hosp", "value": "MRN1"}])
    ).json()
    uid = made(server, "1.2.2")
    find = f"/fhir/Task?identifier=urn:dicom:uid|urn:oid:{uid}"
    task = server.client.get(find).json()["entry"][0]["resource"]
    assert (task["status"], task["description"]) == ("ready", "Read")
    assert task["for"] == {"reference": f"Patient/{patient['id']}"}
    put_state(server, uid, "IN PROGRESS")
    assert server.client.get(find).json()["entry"][0]["resource"]["status"] == "in-progress"
    server.client.delete(f"/fhir/Task/{task['id']}")
    assert server.client.get(f"{BASE}/{uid}").status_code in (404, 410)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}}, "SCHEDULED"),
        ({"00081195": {"vr": "UI", "Value": ["1.2"]}}, "Transaction"),
        ({"00741204": {"vr": "LO"}}, "label"),
        ({"00741200": {"vr": "CS", "Value": ["SOON"]}}, "HIGH"),
        ({"00404005": {"vr": "DT", "Value": ["tomorrow"]}}, "date"),
        ({"7410": {"vr": "CS"}}, "element"),
        ({"00404018": {"vr": "SQ", "Value": ["x"]}}, "items"),
    ],
)
def test_what_is_no_new_workitem_is_refused(server: TestServer, change: dict[str, Any], said: str) -> None:
    answer = server.client.post(f"{BASE}?1.2.3", json=[{**workitem(), **change}])
    assert answer.status_code == 400
    assert said in answer.headers["warning"]


def test_bad_bodies_are_refused(server: TestServer) -> None:
    send = server.client.post
    assert send(f"{BASE}?1.2.4", content=b"{", headers={"content-type": "application/dicom+json"}).status_code == 400
    assert send(f"{BASE}?1.2.4", content=b"[1]", headers={"content-type": "application/json"}).status_code == 400
    assert send(f"{BASE}?1.2.4", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    assert send(f"{BASE}?nonsense=1&9.a", json=[workitem()]).status_code == 400
    assert server.client.get(f"{BASE}/1.9.9").status_code == 404
    assert server.client.get(BASE, headers={"accept": "text/html"}).status_code == 406


def test_two_of_one_uid_are_a_conflict(server: TestServer) -> None:
    made(server, "1.2.5")
    assert server.client.post(f"{BASE}?1.2.5", json=[workitem()]).status_code == 409


def test_searches_match_and_page(server: TestServer) -> None:
    for number in range(3):
        made(server, f"1.2.6.{number}", label=f"Search {number}", start=f"2026040{number + 1}")
    found = server.client.get(BASE, params={"ProcedureStepLabel": "Search*"}).json()
    assert [value([each], "00741204") for each in found] == ["Search 0", "Search 1", "Search 2"]
    page = server.client.get(BASE, params={"ProcedureStepLabel": "Search*", "limit": "1", "offset": "1"})
    assert [value([each], "00741204") for each in page.json()] == ["Search 1"]
    assert "1 additional" in page.headers["warning"]
    dates = {"00404005": "20260402-", "00741204": "Search*"}
    assert len(server.client.get(BASE, params=dates).json()) == 2
    assert server.client.get(BASE, params={"PatientName": "love*", "00741204": "Search 1"}).json() != []
    assert server.client.get(BASE, params={"00741204": "Nothing"}).json() == []
    assert server.client.get(BASE, params={"Nonsense": "1"}).status_code == 400
    assert server.client.get(BASE, params={"limit": "x"}).status_code == 400


def test_a_request_cancels_what_has_not_begun_and_asks_who_has(server: TestServer) -> None:
    waiting, busy = made(server, "1.2.7.1"), made(server, "1.2.7.2")
    reason = dicom(LT_00741238="not needed")
    assert server.client.post(f"{BASE}/{waiting}/cancelrequest", json=[reason]).status_code == 202
    canceled = server.client.get(f"{BASE}/{waiting}").json()
    assert value(canceled, "00741000") == "CANCELED"
    assert value(canceled, "00741002")["00741238"]["Value"] == ["not needed"]
    put_state(server, busy, "IN PROGRESS")
    assert server.client.post(f"{BASE}/{busy}/cancelrequest", json=[reason]).status_code == 409
    server.client.post(f"{BASE}/{busy}/subscribers/PERFORMER")
    assert server.client.post(f"{BASE}/{busy}/cancelrequest", json=[reason]).status_code == 202


def test_a_clock_that_moves_while_a_task_is_made_refuses_nothing(server: TestServer, monkeypatch: Any) -> None:
    ticks = iter(range(1_772_000_000_000, 1_773_000_000_000, 1_000))
    monkeypatch.setattr("fhir_server.plugin_host.context.PluginContext.now", lambda ctx: next(ticks))
    made(server, "1.2.77")
