"""The gate with a real peer on the loopback: what goes out has no name, what comes back decides nothing."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fhir_ai.gate.hiding import StillNamed, hidden, words_of

from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import measured, outputs, person, store, vitals

PERSON = {
    **person(93, "female"),
    "name": [{"family": "Okonkwo-Svensson", "given": ["Adaeze", "Maria"]}],
    "identifier": [{"system": "urn:mrn", "value": "MRN-0047119"}],
    "telecom": [{"system": "phone", "value": "+46 70 123 45 67"}],
    "address": [{"line": ["Storgatan 5"], "city": "Uppsala"}],
}
TEXT = (
    "Adaeze OKONKWO-SVENSSON (MRN-0047119), 93 years old, seen by Dr. Lindqvist on 2025-06-12 and 12/06/2025, of "
    "Uppsala, call +46 70 123 45 67 or a.okonkwo@example.org: more breathless since Monday, crackles on the left."
)


class Peer(BaseHTTPRequestHandler):
    """A model elsewhere; what it is to do is a class attribute, what it was asked is kept."""

    does = "answer"
    asked: list[tuple[dict[str, str], Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Peer.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
        if Peer.does == "wait":
            time.sleep(1)
        answer: Any = {"choices": [{"message": {"content": "Probably fluid; an X-ray would tell."}}]}
        if Peer.does == "nonsense":
            answer = {"choices": []}
        if Peer.does == "flood":
            answer = {"choices": [{"message": {"content": "x" * 100_000}}]}
        raw = json.dumps(answer).encode()
        self.send_response(302 if Peer.does == "redirect" else 200)
        self.send_header("content-length", str(len(raw)))
        self.send_header("location", "http://169.254.169.254/")
        self.end_headers()
        try:
            self.wfile.write(raw)
        except OSError:  # who asked has gone
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(peer: str) -> Iterator[Any]:
    near = {"url": peer, "model": "m-1", "token": "s3cret", "timeout": 20, "text": True, "inside": True}
    remotes = {
        "near": near,
        "outside-only": {**near, "inside": False},
        "impatient": {**near, "timeout": 0.3},
        "no-text": {**near, "text": False},
        "gone": {**near, "url": "http://127.0.0.1:9/"},
    }
    with serving(audit="on", plugins={"fhir_ai": {"remote_models": remotes}}) as found:
        yield found


@pytest.fixture
def patient(server: Any) -> str:
    Peer.does = "answer"
    Peer.asked.clear()
    found = store(server.client, PERSON)
    for each in (*vitals(found), measured(found, "2160-0", 1.4, "mg/dL")):
        store(server.client, each)
    return found


def ask(server: Any, patient: str, model: str = "near", text: str = "") -> dict[str, list[Any]]:
    parts = [{"name": "model", "valueCode": model}, *([{"name": "text", "valueString": text}] if text else [])]
    body = {"resourceType": "Parameters", "parameter": parts}
    answer = server.client.post(f"/fhir/{patient}/$remote-opinion", json=body)
    assert answer.status_code == 200, answer.text
    return outputs(answer.json())


def test_what_goes_out_has_no_name_no_number_no_date_and_no_age_over_89(server: Any, patient: str) -> None:
    assert ask(server, patient, text=TEXT)["status"] == ["opinion"]
    headers, body = Peer.asked[0]
    assert headers["authorization"] == "Bearer s3cret"
    sent = json.dumps(body)
    for word in (
        "Adaeze",
        "konkwo",
        "KONKWO",
        "0047119",
        "Lindqvist",
        "2025",
        "Uppsala",
        "123 45",
        "example.org",
        "93",
    ):
        assert word not in sent
    assert patient.removeprefix("Patient/") not in sent
    assert "crackles on the left" in sent
    values = json.loads(body["messages"][1]["content"].split("\n")[0])
    assert values["age"] == "over 89"
    assert values["creatinine"] == 1.4


def test_its_words_are_marked_decide_nothing_and_are_stored_nowhere(server: Any, patient: str) -> None:
    before = server.client.get("/fhir/GuidanceResponse?_summary=count").json()["total"]
    (opinion,) = ask(server, patient)["opinion"]
    assert opinion["meta"]["security"][0]["code"] == "AIAST"
    assert "remote model near" in opinion["note"][0]["text"]
    assert opinion["note"][1]["text"] == "Probably fluid; an X-ray would tell."
    assert server.client.get("/fhir/GuidanceResponse?_summary=count").json()["total"] == before


def test_no_triage_and_no_risk_asks_it(server: Any, patient: str) -> None:
    server.client.get(f"/fhir/{patient}/$triage")
    server.client.get(f"/fhir/{patient}/$risk-assess")
    assert Peer.asked == []


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("wait", "no answer within 0.3 s"),
        ("nonsense", "does not understand"),
        ("flood", "over 20000 bytes"),
        ("redirect", "answered 302"),
    ],
)
def test_a_peer_that_misbehaves_is_no_opinion_and_the_record_keeps_serving(
    server: Any, patient: str, does: str, said: str
) -> None:
    Peer.does = does
    found = ask(server, patient, "impatient" if does == "wait" else "near")
    assert found["status"] == ["no-opinion"]
    assert said in found["because"][0]
    assert server.client.get(f"/fhir/{patient}").status_code == 200


@pytest.mark.parametrize(
    ("model", "text", "said"),
    [
        ("nobody", "", "off unless"),
        ("outside-only", "", "not in the public network"),
        ("no-text", "he coughs", "no free text"),
        ("gone", "", "cannot be asked"),
    ],
)
def test_what_may_not_go_does_not_go(server: Any, patient: str, model: str, text: str, said: str) -> None:
    assert said in ask(server, patient, model, text)["because"][0]
    assert Peer.asked == []


def test_a_server_as_it_comes_has_no_remote_model(fhir_server_app: Any) -> None:
    patient = store(fhir_server_app.client, person())
    assert ask(fhir_server_app, patient)["status"] == ["no-opinion"]


def test_each_sending_is_in_the_audit_without_its_content(server: Any, patient: str) -> None:
    ask(server, patient, text="she coughs")
    time.sleep(0.3)  # reads of the audit are durable within 100 ms
    found = server.client.get(f"/fhir/AuditEvent?patient={patient}&_count=100").json()
    told = json.dumps(found)
    assert "remote model: sent" in told
    assert "110106" in told
    assert "she coughs" not in told


def test_what_still_names_the_patient_is_withheld() -> None:
    with pytest.raises(StillNamed):
        hidden({"name": [{"family": "Weber"}]}, {"note": "Weberknecht"}, "")
    with pytest.raises(StillNamed):
        hidden({"name": [{"family": "Weber"}]}, {}, "the Webers came")
    assert hidden({"name": [{"given": ["Ann"]}]}, {}, "Ann cannot walk").text == "[removed] cannot walk"


def test_words_of_a_patient_are_those_that_name_them() -> None:
    found = set(words_of(PERSON))
    assert {"Okonkwo-Svensson", "Adaeze", "MRN-0047119", "Uppsala", PERSON["birthDate"]} <= found
    assert "phone" not in found
