"""A server of two workers tells what goes on, in traces, lines of the log and numbers, and nothing of patients."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.integration.running import Running, running
from tests.integration.telemetry.collector import Collector, attributes, collecting

ID, NAME, NUMBER, WORD = "markid-4711", "Marksmith", "mark-815", "markword"
"""What must never reach an operator."""

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "asked-for-1"}
PATIENT = {
    "resourceType": "Patient",
    "id": ID,
    "name": [{"family": NAME}],
    "identifier": [{"system": f"urn:{WORD}", "value": NUMBER}],
}


@dataclass(slots=True)
class Told:
    """All that was told while requests went through, once the server has stopped."""

    collector: Collector
    log: str
    numbers: dict[str, Any]
    health: dict[str, Any]
    answers: list[httpx.Response]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log that are JSON."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the spans of a name."""
        return [span for span in self.collector.spans if span["name"] == name]


def config(folder: Path, collector: Collector) -> Path:
    """Write the settings of the server."""
    path = folder / "settings.toml"
    path.write_text(f"""
log_format = "json"
access_log = true
slow_request = 0.000001
tracing = "on"
tracing_endpoint = "{collector.url}"
tracing_logs = true
audit = "on"
workers = 2
[[plugins.fhir_bridges.out]]
name = "hook"
kind = "webhook"
url = "{collector.url}/hook"
secret = "0123456789abcdef0123456789"
types = ["Patient"]
start = "beginning"
""")
    return path


def drive(server: Running) -> list[httpx.Response]:
    """Send what has marked values in all places of a request."""
    base, fhir = server.base, {"content-type": "application/fhir+json"}
    entry = {"resource": {**PATIENT, "id": f"{ID}-2"}, "request": {"method": "PUT", "url": f"Patient/{ID}-2"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    with httpx.Client(headers=HEADERS, timeout=30) as client:
        return [
            client.put(f"{base}/Patient/{ID}", json=PATIENT, headers=fhir),
            client.get(f"{base}/Patient/{ID}"),
            client.get(f"{base}/Patient/{ID}/_history/1"),
            client.get(f"{base}/Patient/nobody-{ID}"),
            client.get(f"{base}/Patient", params={"name": NAME, "identifier": f"urn:{WORD}|{NUMBER}", WORD: NAME},
                       headers={"prefer": "handling=lenient"}),
            client.get(f"{base}/Patient", params={"birthdate": WORD}),
            client.post(f"{base}/Patient/_search", data={"name": NAME}),
            client.get(f"{base}/Patient/{ID}/$everything"),
            client.get(f"{base}/${WORD}"),
            client.get(f"{base}/{WORD}/{ID}"),
            client.post(f"{base}/Patient", content=f'{{"resourceType": "Patient", "{WORD}', headers=fhir),
            client.post(f"{base}/Patient", json={**PATIENT, "gender": WORD, NAME: 1}, headers=fhir),
            client.put(f"{base}/Patient/{ID}", json=PATIENT, headers={**fhir, "if-match": f'W/"{WORD}"'}),
            client.post(base, json=bundle, headers=fhir),
            client.post(f"{base}/$graphql", json={"query": f'{{Patient(id: "{ID}") {{id}}}}'}),
            client.get(f"{base.removesuffix('/fhir')}/{WORD}/{ID}?name={NAME}"),
            client.get(f"{base}/Patient/{ID}", headers={"accept": WORD, "x-request-id": f"{NAME} {WORD}"}),
            client.delete(f"{base}/Patient/{ID}"),
        ]  # fmt: skip


def summed(url: str) -> dict[str, Any]:
    """Read the numbers as Prometheus does, once those of all workers are there: they tell theirs once a second."""
    deadline = time.monotonic() + 30
    while 'outcome="ok",plugin="fhir_bridges"' not in httpx.get(url, timeout=30).text and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1.2)
    answer = httpx.get(url, headers={"accept": "application/openmetrics-text"}, timeout=30)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = list(text_string_to_metric_families(answer.text))  # type: ignore[no-untyped-call]
    assert all(family.documentation for family in families)
    found: dict[str, Any] = {"text": answer.text}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("telemetry")
    with collecting() as collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")  # what others would tell must not get out either
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with running(folder / "data", "--config", str(config(folder, collector))) as server:
            answers = drive(server)
            root = server.base.removesuffix("/fhir")
            deadline = time.monotonic() + 60
            while not collector.hooks and time.monotonic() < deadline:
                time.sleep(0.05)
            numbers, health = summed(f"{root}/metrics"), httpx.get(f"{root}/health/ready", timeout=30).json()
        yield Told(collector, server.log.read_text(), numbers, health, answers)


def test_the_requests_came_to_what_they_should(told: Told) -> None:
    statuses = [answer.status_code for answer in told.answers]
    assert statuses == [201, 200, 200, 404, 200, 400, 200, 200, 404, 404, 400, 422, 412, 200, 200, 404, 406, 204], [
        answer.text[:300] for answer in told.answers
    ]
    assert told.answers[0].headers["x-request-id"] == "asked-for-1"
    assert told.answers[16].headers["x-request-id"] not in (f"{NAME} {WORD}", "")


def test_a_request_is_part_of_the_trace_of_its_client_down_to_the_commit(told: Told) -> None:
    (update,) = told.named("update Patient")[:1]
    assert b64decode(update["traceId"]).hex() == TRACE
    assert b64decode(update["parentSpanId"]).hex() == "00f067aa0ba902b7"
    assert attributes(update)["http.response.status_code"] == "201"
    below = [span for span in told.collector.spans if span.get("parentSpanId") == update["spanId"]]
    assert {"validation", "store.commit"} <= {span["name"] for span in below}
    names = {span["name"] for span in told.collector.spans}
    assert {"read Patient", "search-type Patient", "malformed", "operation", "store.read", "feed.delivery"} <= names
    (everything,) = told.named("$everything Patient")
    assert attributes(everything)["fhir.type"] == "Patient"


def test_what_is_sent_to_others_says_which_trace_it_is_part_of(told: Told) -> None:
    headers, body = told.collector.hooks[0]
    trace = headers["traceparent"].split("-")[1]
    assert json.loads(body)["traceparent"].split("-")[1] == trace
    assert trace in {b64decode(span["traceId"]).hex() for span in told.named("delivery")}


def test_lines_of_the_log_are_json_with_the_ids_of_request_and_trace(told: Told) -> None:
    reads = [line for line in told.lines if line["message"].startswith("read Patient 200")]
    assert {line["request_id"] for line in reads} == {"asked-for-1"}
    assert {line["trace_id"] for line in reads} == {TRACE}
    spans = {b64decode(span["spanId"]).hex() for span in told.named("read Patient")}
    assert {line["span_id"] for line in reads} <= spans
    slow = [line["message"] for line in told.lines if line["logger"] == "fhir_server.slow"]
    assert any(line.startswith("slow: search-type Patient ?identifier&?&name took") for line in slow)
    assert any("read Patient 200" in line["body"]["stringValue"] for line in told.collector.lines)


def test_nothing_of_a_patient_reaches_a_log_a_collector_or_the_numbers(told: Told) -> None:
    assert told.collector.scopes == {"fhir_server"}
    for place in (told.log, told.numbers["text"], json.dumps(told.health), *told.collector.raw):
        for secret in (ID, NAME, NUMBER, WORD):
            assert secret.lower() not in place.lower(), place[max(0, place.lower().find(secret.lower()) - 300) :][:600]


def test_the_numbers_of_all_workers_are_one(told: Told) -> None:
    requests = told.numbers["fhir_server_requests_total"]
    counted = {(labels["interaction"], labels["status"]): value for labels, value in requests}
    assert counted["update", "201"] == 1
    assert counted["malformed", "404"] == 1
    assert counted["$unknown", "404"] == 1
    assert {labels["role"]: value for labels, value in told.numbers["fhir_server_processes"]} == {
        "serving": 2, "background": 1, "owner": 1,
    }  # fmt: skip
    assert all(value > 10e6 for _, value in told.numbers["fhir_server_process_resident_memory_bytes"])
    assert dict(told.numbers["fhir_server_store_size_bytes"][0][0]).keys() == {"part"}
    ((_, commits),) = told.numbers["fhir_server_store_commit_seconds_count"]
    assert commits >= 3
    rows = {labels["way"]: value for labels, value in told.numbers["fhir_server_audit_rows_total"]}
    assert rows["commit"] >= 3
    assert ({"plugin": "fhir_bridges", "channel": "webhook", "outcome": "ok"}, 1) in [
        (labels, min(value, 1)) for labels, value in told.numbers["fhir_server_deliveries_total"]
    ]


def test_health_says_how_store_and_feed_do(told: Told) -> None:
    assert told.health["status"] == "ready"
    assert told.health["checks"]["store"] == {"state": "ok"}
    assert told.health["checks"]["feed"]["state"] == "ok"
