"""The monitor on a server: what models said is held against the training data and the patients' deaths."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from fhir_ai.cds.feedback import FEEDBACK
from fhir_ai.monitoring import watch
from fhir_ai.monitoring.statistics import counted, quantile, tenths
from fhir_ai.registry.recorder import UNKNOWN, Recorder, Said

from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.monitoring.said import DAY, said
from tests.plugins.fhir_ai.patients import call, outputs, person, store
from tests.plugins.fhir_ai.registry.models import NAME, PUBLIC, parts

pytest.importorskip("onnxruntime", reason="models need fhir-server[ai]")
LEAST = 60


def card() -> dict[str, Any]:
    """Return a card whose training data were people of about 60 with a creatinine of about 1."""
    drawn = random.Random(1)
    ages = sorted(drawn.gauss(60, 10) for _ in range(2000))
    creatinine = sorted(drawn.gauss(1, 0.2) for _ in range(2000))
    features = {"age": spread(ages), "creatinine": spread(creatinine)}
    return {"title": "Tiny", "auroc": {"value": 0.8}, "reference": {"features": features}}


def spread(values: list[float]) -> dict[str, Any]:
    edges = tenths(values)
    shares = [each / len(values) for each in counted(values, edges)]
    points = [quantile(values, at / 200) for at in range(201)]
    return {"edges": edges, "shares": shares, "n": len(values), "missing": 0.0, "quantiles": points}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    settings = {"model_keys": [PUBLIC], "model_timeout": 5, "monitor_least": LEAST}
    with serving(plugins={"fhir_ai": settings}) as found:
        for version in ("1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"):
            ask(found, "model-register", *parts(card=card(), version=version, label="death"))
        yield found


def ask(server: Any, operation: str, *given: Any, **named: Any) -> dict[str, list[Any]]:
    made = [{"name": name, "valueString": value} for name, value in named.items()]
    body = {"resourceType": "Parameters", "parameter": [*given, *made]}
    answer = server.client.post(f"/fhir/Device/${operation}", json=body)
    assert answer.status_code == 200, answer.text
    return outputs(answer.json())


def keep(server: Any, rows: list[Said]) -> None:
    """Have the recorder keep what was said."""

    async def noted() -> None:
        host = server.app.assembly.hosts["fhir_ai"]
        recorder = host.shared.setdefault("recorder", Recorder(host))
        for row in rows:
            recorder.note("default", row)
        await recorder.flush()

    server._portal.call(noted)


def look(server: Any) -> None:
    """Do what is done at night."""

    async def looked() -> None:
        await watch.watch(await server.app.assembly.hosts["fhir_ai"].context("default"))

    server._portal.call(looked)


def usual(server: Any, version: str, count: int = 120, **values: Any) -> list[Said]:
    """Return what was said of people like those of the training data, but for some values."""
    drawn = random.Random(7)
    found = []
    for at in range(count):
        told = {"age": drawn.gauss(60, 10), "creatinine": drawn.gauss(1, 0.2)}
        told |= {name: each(told[name]) for name, each in values.items()}
        row = said(
            patient=f"{version}-{at}", version=version, at=server.clock(), due=server.clock() + 30 * DAY, values=told
        )
        found.append(row())
    return found


def figures(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for group in report["group"]:
        name = group["code"]["coding"][0]["code"]
        if "measureScore" in group:
            found[name] = group["measureScore"]["value"]
        for stratum in group["stratifier"][0].get("stratum", []):
            found[f"{name} {stratum['value']['text']}"] = stratum["measureScore"]["value"]
    return found


def test_who_is_like_the_training_data_breaks_no_bound(server: Any) -> None:
    ask(server, "model-promote", name=NAME, version="1.0.0")
    keep(server, usual(server, "1.0.0"))
    found = ask(server, "performance", name=NAME)
    assert "broken" not in found
    told = figures(found["report"][0])
    assert told["answers"] == 120
    assert told["psi age"] < 0.25
    assert told["ks-p age"] > 0.001
    assert any("Outcomes are known after 30 days" in each for each in found["note"])


def test_the_report_is_valid_and_about_the_device_of_the_version(server: Any) -> None:
    (report,) = ask(server, "performance", name=NAME, version="1.0.0")["report"]
    device = report["subject"]["reference"]
    by_device = outputs(server.client.get(f"/fhir/{device}/$performance").json())["report"][0]
    assert figures(by_device) == figures(report)
    checked = server.client.post("/fhir/MeasureReport/$validate", json=report).json()
    assert {each["diagnostics"] for each in checked["issue"] if each["severity"] in ("error", "fatal")} == set()


def test_a_device_that_is_no_model_has_no_performance(server: Any) -> None:
    other = store(server.client, {"resourceType": "Device", "status": "active"})
    assert server.client.get(f"/fhir/{other}/$performance").status_code == 404
    assert server.client.get("/fhir/Device/$performance?name=nobody").status_code == 404
    assert server.client.get("/fhir/Device/$performance").status_code == 400


def test_a_shift_at_night_stops_the_model_tells_people_and_leaves_the_score(server: Any) -> None:
    ask(server, "model-promote", name=NAME, version="2.0.0")
    keep(server, usual(server, "2.0.0", creatinine=lambda value: value * 2))
    look(server)
    patient = store(server.client, person(60, "male"))
    found = call(server.client, f"{patient}/$risk-assess", {"name": "model", "valueCode": NAME})
    left = next(each for each in found["not-computed"] if each["model"] == NAME)
    assert "creatinine shifted: PSI" in left["because"]
    assert "published scores in its place" in left["because"]
    issue = server.client.get("/fhir/DetectedIssue?_sort=-_lastUpdated").json()["entry"][0]["resource"]
    assert "creatinine shifted" in issue["detail"]
    assert issue["implicated"][0]["reference"].startswith("Device/")
    stored = server.client.get("/fhir/MeasureReport").json()["entry"]
    assert any(figures(each["resource"]).get("psi creatinine", 0) > 1 for each in stored)
    shown = server.client.get("/metrics").text
    psi = next(line for line in shown.splitlines() if 'figure="psi"' in line and 'of="creatinine"' in line)
    assert f'fhir_ai_model_performance{{figure="psi",model="{NAME}"' in psi
    assert float(psi.split()[-1]) > 1
    ask(server, "model-resume", name=NAME, version="2.0.0")


def test_too_few_answers_break_no_bound_and_that_is_said(server: Any) -> None:
    ask(server, "model-promote", name=NAME, version="3.0.0")
    keep(server, usual(server, "3.0.0", count=LEAST - 1, creatinine=lambda value: value * 9))
    found = ask(server, "performance", name=NAME)
    assert "broken" not in found
    assert any("Only 59 answers" in each for each in found["note"])


def test_missing_inputs_are_found_though_what_is_there_is_as_ever(server: Any) -> None:
    keep(server, usual(server, "5.0.0", creatinine=lambda value: None if value < 1.1 else value))
    broken = ask(server, "performance", name=NAME, version="5.0.0")["broken"]
    assert "monitor_missing" in {each["bound"] for each in broken}


def test_deaths_make_auroc_ppv_and_calibration(server: Any) -> None:
    ask(server, "model-promote", name=NAME, version="4.0.0")
    drawn, rows = random.Random(3), []
    now = server.clock()
    people = []
    for at in range(100):
        chance = drawn.random() * 0.8
        dies = drawn.random() < chance
        death = {"deceasedDateTime": "2025-06-20T10:00:00Z"} if dies else {}
        people.append({**person(60), **death, "id": f"dies-{at}"})
        values = {"age": drawn.gauss(60, 10), "creatinine": drawn.gauss(1, 0.2)}
        row = said(
            patient=f"dies-{at}", version="4.0.0", at=now, due=now + 30 * DAY, probability=chance, flagged=chance > 0.4,
            values=values,
        )  # fmt: skip
        rows.append(row(groups={"sex": "female" if at % 2 else "male"}))
    entries = [{"resource": each, "request": {"method": "PUT", "url": f"Patient/{each['id']}"}} for each in people]
    server.client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    keep(server, rows)
    early = figures(ask(server, "performance", name=NAME)["report"][0])
    dead = sum("deceasedDateTime" in each for each in people)
    assert early["outcomes"] == dead
    assert "auroc" not in early
    server.clock.go_on(31 * 86_400)
    told = figures(ask(server, "performance", {"name": "days", "valueInteger": 60}, name=NAME)["report"][0])
    assert told["outcomes"] == 100
    assert told["events"] == dead
    assert told["auroc-low"] < told["auroc"] < told["auroc-high"]
    assert 0 < told["ppv"] <= 1
    assert abs(told["observed"] - told["predicted"]) < 0.15
    assert "parity sex" in told
    kept = [row for row in everything(server) if row["version"] == "4.0.0"]
    assert all(row["outcome"] != UNKNOWN for row in kept)


def test_what_clinicians_overrode_counts_where_it_is_linked_to_an_output_of_the_version(server: Any) -> None:
    ask(server, "model-promote", name=NAME, version="1.0.0")
    patient = store(server.client, person(60, "male"))
    persist = {"name": "persist", "valueBoolean": True}
    (risk,) = call(server.client, f"{patient}/$risk-assess", {"name": "model", "valueCode": NAME}, persist)["risk"]
    for answer in ("overridden", "overridden", "accepted"):
        task = {
            "resourceType": "Task", "status": "completed", "intent": "proposal", "for": {"reference": patient},
            "code": {"coding": [{"system": FEEDBACK, "code": answer}]}, "authoredOn": risk["occurrenceDateTime"],
            "focus": {"reference": f"RiskAssessment/{risk['id']}"},
        }  # fmt: skip
        store(server.client, task)
    told = figures(ask(server, "performance", name=NAME, version="1.0.0")["report"][0])
    assert told["overridden"] == pytest.approx(2 / 3, abs=1e-4)
    assert "overridden" not in figures(ask(server, "performance", name=NAME, version="2.0.0")["report"][0])


def everything(server: Any) -> list[Any]:
    async def read() -> list[Any]:
        ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
        return [record.value for record in await ctx.store.find("fhir_ai.predictions", limit=5000)]

    found: list[Any] = server._portal.call(read)
    return found


def test_what_was_said_goes_after_its_time(server: Any) -> None:
    server.clock.go_on(401 * 86_400)
    look(server)
    assert everything(server) == []
