"""`DocumentReference/$extract`: suggestions with places in the text, out of all kinds of attachments."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from fhir_ai.text.lexicon import LEXICON

from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import person, store
from tests.plugins.only import but

ALONE = but("fhir_ai")

NOTE = (
    "HPI: Denies chest pain.\nASSESSMENT: Hypertension, possible gout.\nMEDICATIONS: lisinopril 10 mg. BP 142/88 mmHg\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(
        plugins_disabled=ALONE, plugins={"fhir_ai": {"text_characters": 50_000, "text_suggestions": 40}}
    ) as found:
        yield found


def _document(data: bytes, type_: str = "text/plain; charset=utf-8", subject: str = "") -> dict[str, Any]:
    attachment = {"contentType": type_, "data": base64.b64encode(data).decode()}
    about = {"subject": {"reference": subject}} if subject else {}
    return {"resourceType": "DocumentReference", "status": "current", **about, "content": [{"attachment": attachment}]}


def _asked(client: Any, document: dict[str, Any], query: str = "") -> Any:
    body = {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": document}]}
    return client.post(f"/fhir/DocumentReference/$extract{query}", json=body)


def _suggestions(answer: Any) -> dict[str, dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found = {}
    for each in answer.json()["parameter"]:
        if each["name"] == "suggestion":
            parts = {
                part["name"]: next(iter({k: v for k, v in part.items() if k != "name"}.values()))
                for part in each["part"]
            }
            found[parts["text"].lower()] = parts
    return found


def test_a_stored_note_gives_suggestions_that_nobody_has_confirmed(server: Any) -> None:
    client = server.client
    patient = store(client, person())
    name = store(client, _document(NOTE.encode(), subject=patient))
    before = client.get("/fhir?_summary=count").json()["total"]
    found = _suggestions(client.get(f"/fhir/{name}/$extract"))
    assert client.get("/fhir?_summary=count").json()["total"] == before
    assert set(found) == {"chest pain", "hypertension", "gout", "lisinopril", "bp"}
    for words, each in found.items():
        assert NOTE[each["start"] : each["end"]].lower() == words
        if "resource" in each:
            assert each["resource"]["meta"]["security"][0]["code"] == "AIAST"
            assert each["resource"]["subject"]["reference"] == patient
    assert "resource" not in found["chest pain"]
    status = {
        words: each["resource"].get("verificationStatus", {}).get("coding", [{}])[0].get("code")
        for words, each in found.items()
        if "resource" in each
    }
    assert (status["hypertension"], status["gout"]) == ("unconfirmed", "differential")
    assert found["lisinopril"]["resource"]["status"] == "unknown"
    assert found["bp"]["resource"]["status"] == "preliminary"
    assert found["hypertension"]["concept"]["coding"][0]["display"] == "Essential (primary) hypertension"
    assert found["hypertension"]["resource"]["evidence"][0]["detail"][0]["reference"] == name


def test_suggestions_are_valid_resources(server: Any) -> None:
    client = server.client
    patient = store(client, person())
    found = _suggestions(client.get(f"/fhir/{store(client, _document(NOTE.encode(), subject=patient))}/$extract"))
    for each in found.values():
        if "resource" in each:
            resource = each["resource"]
            answer = client.post(f"/fhir/{resource['resourceType']}/$validate", json=resource).json()
            assert [issue for issue in answer["issue"] if issue["severity"] in ("error", "fatal")] == []


def test_a_binary_of_this_server_is_read_with_its_charset(server: Any) -> None:
    client = server.client
    data = base64.b64encode("Ménière; gout".encode("latin-1")).decode()
    binary = store(client, {"resourceType": "Binary", "contentType": "text/plain; charset=iso-8859-1", "data": data})
    document = _document(b"")
    document["content"][0]["attachment"] = {"contentType": "text/plain; charset=iso-8859-1", "url": binary}
    assert _suggestions(_asked(client, document))["gout"]["start"] == 9


def test_html_offsets_point_into_the_source(server: Any) -> None:
    source = "<p>No <b>gout</b></p><script>stroke</script>"
    found = _suggestions(_asked(server.client, _document(source.encode(), "text/html")))
    assert set(found) == {"gout"}
    assert found["gout"]["assertion"] == "absent"
    assert source[found["gout"]["start"] : found["gout"]["end"]] == "gout"


def test_a_diagnosis_that_the_lexicon_lacks_is_looked_up_by_its_whole_name(server: Any) -> None:
    note = "ASSESSMENT:\n1. Bell's palsy\n2. Crohn's disease.\n3. Something like Crohn's\nPLAN: Bell's palsy"
    found = _suggestions(_asked(server.client, _document(note.encode())))
    assert {words: each["concept"]["coding"][0]["code"] for words, each in found.items()} == {
        "bell's palsy": "G51.0", "crohn's disease": "K50.9",
    }  # fmt: skip
    assert note[found["bell's palsy"]["start"] :].startswith("Bell's palsy\n2.")


def test_kinds_can_be_chosen(server: Any) -> None:
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "document", "resource": _document(NOTE.encode())}, {"name": "kind", "valueCode": "medication"},
    ]}  # fmt: skip
    assert set(_suggestions(server.client.post("/fhir/DocumentReference/$extract", json=body))) == {"lisinopril"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (_document(b"%PDF", "application/pdf"), "no text"),
        (_document(b"\xff\xff", "text/plain; charset=utf-8"), "is not utf-8"),
        (_document(b"x", "text/plain; charset=klingon"), "is not klingon"),
        ({**_document(b""), "content": [{"attachment": {"url": "http://elsewhere.example/Binary/1"}}]}, "neither data"),
        ({"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": 3}]}, ""),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_with_its_place(server: Any, document: dict[str, Any], said: str) -> None:
    answer = _asked(server.client, document)
    assert answer.status_code in (400, 422), answer.text
    assert said in answer.json()["issue"][0]["diagnostics"]


def test_limits_are_kept_and_said(server: Any) -> None:
    long = _asked(server.client, _document(b"x " * 30_000 + b"gout"))
    assert any("goes on" in each["valueString"] for each in long.json()["parameter"] if each["name"] == "note")
    many = _asked(server.client, _document(b"gout. " * 100))
    assert sum(each["name"] == "suggestion" for each in many.json()["parameter"]) == 40
    assert _asked(server.client, _document(b"x" * 250_000)).status_code == 413


def test_bytes_that_are_no_text_at_all_are_read_without_fault(server: Any) -> None:
    assert _suggestions(_asked(server.client, _document(bytes(range(256)) * 100, "text/plain"))) == {}


def test_an_unknown_document_is_not_found_and_none_is_asked_for(server: Any) -> None:
    assert server.client.get("/fhir/DocumentReference/none/$extract").status_code == 404
    assert (
        server.client.post("/fhir/DocumentReference/$extract", json={"resourceType": "Parameters"}).status_code == 400
    )


def test_codes_of_the_lexicon_are_those_of_the_terminology(server: Any) -> None:
    wrong = []
    for each in {concept.code: concept for concept in LEXICON.values() if concept.kind == "problem"}.values():
        answer = server.client.get(f"/fhir/CodeSystem/$lookup?system={each.system}&code={each.code}")
        if answer.status_code != 200:
            wrong.append((each.name, each.code))
    assert wrong == []
