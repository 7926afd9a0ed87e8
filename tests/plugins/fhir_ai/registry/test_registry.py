"""The registry as its users meet it: what is signed serves, what is not is refused, and a rollback holds at once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fhir_ai.models.signing import new_key
from fhir_ai.registry import records
from fhir_ai.registry.records import Aliases
from fhir_ai.registry.serving import in_canary

from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import call, measured, outputs, person, store
from tests.plugins.fhir_ai.registry.models import HERE, NAME, PUBLIC, manifest, parts

pytest.importorskip("onnxruntime", reason="models need fhir-server[ai]")
TWO = (HERE / "two.onnx").read_bytes()


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(plugins={"fhir_ai": {"model_keys": [PUBLIC], "model_timeout": 5}}) as found:
        yield found


@pytest.fixture(scope="module")
def patient(server: Any) -> str:
    found = store(server.client, person(60, "male"))
    store(server.client, measured(found, "2160-0", 1.0, "mg/dL"))
    return found


def post(server: Any, operation: str, *given: Any, **named: Any) -> Any:
    made = [{"name": name, key(value): value} for name, value in named.items()]
    body = {"resourceType": "Parameters", "parameter": [*given, *made]}
    return server.client.post(f"/fhir/Device/${operation}", json=body)


def key(value: Any) -> str:
    return "valueDecimal" if isinstance(value, int | float) else "valueString"


def done(server: Any, operation: str, *given: Any, **named: Any) -> dict[str, Any]:
    answer = post(server, operation, *given, **named)
    assert answer.status_code == 200, answer.text
    found = outputs(answer.json())
    first: dict[str, Any] = next(iter(found.values()))[0]
    return first


def refused(server: Any, *given: Any) -> str:
    answer = post(server, "model-register", *given)
    assert answer.status_code == 422, answer.text
    said: str = answer.json()["issue"][0]["diagnostics"]
    return said


def ask(server: Any, patient: str, name: str = NAME, **more: Any) -> dict[str, list[Any]]:
    asked = [{"name": "model", "valueCode": name}, *({"name": k, "valueBoolean": v} for k, v in more.items())]
    return call(server.client, f"{patient}/$risk-assess", *asked)


def version_of(found: dict[str, list[Any]]) -> str:
    (risk,) = found["risk"]
    said: str = risk["method"]["text"]
    return said.split("version ")[1].split(",")[0]


@pytest.fixture(scope="module", autouse=True)
def first(server: Any) -> None:
    done(server, "model-register", *parts())
    done(server, "model-register", *parts(TWO, version="2.0.0"))


@pytest.fixture(autouse=True)
def only_the_first_serves(server: Any) -> None:
    done(server, "model-promote", name=NAME, version="1.0.0")
    done(server, "model-resume", name=NAME, version="1.0.0")


def test_the_shipped_model_is_in_the_registry_and_its_signature_holds(server: Any) -> None:
    listed = outputs(post(server, "model-list", {"name": "verify", "valueBoolean": True}).json())["model"]
    shipped = next(each for each in listed if each["name"] == "support2-30d")
    assert (shipped["state"], shipped["origin"], shipped["usable"]) == ("champion", "shipped", True)


def test_a_version_that_nobody_promoted_serves_nobody(server: Any, patient: str) -> None:
    done(server, "model-register", *parts(name="never-promoted"))
    answer = server.client.get(f"/fhir/{patient}/$risk-assess?model=never-promoted")
    assert answer.status_code == 400


def test_another_file_under_a_signed_manifest_is_refused(server: Any) -> None:
    given = parts(version="3.0.0")
    given[2] = parts(TWO, version="3.0.0")[2]
    assert "SHA-256" in refused(server, *given)


def test_a_changed_manifest_is_refused(server: Any) -> None:
    given = parts(version="3.0.0")
    given[0] = parts(version="3.0.0", threshold=0.9)[0]
    assert "wrong-signature" in refused(server, *given)


def test_a_changed_card_is_refused(server: Any) -> None:
    given = parts(version="3.0.0")
    given[1] = {"name": "card", "valueBase64Binary": "eyJhdXJvYyI6IDAuOTl9"}
    assert "wrong-signature" in refused(server, *given)


def test_the_signature_of_another_version_is_refused(server: Any) -> None:
    given = parts(version="3.0.0")
    given[3] = parts(version="3.0.1")[3]
    assert "wrong-signature" in refused(server, *given)


def test_a_key_that_is_not_trusted_is_refused_and_trusted_ones_are_named(server: Any) -> None:
    stranger, _ = new_key()
    said = refused(server, *parts(version="3.0.0", key=stranger))
    assert "unknown-key" in said
    assert "trusted are" in said


def test_what_is_not_signed_is_refused(server: Any) -> None:
    given = [*parts(version="3.0.0")[:3], {"name": "signature", "valueString": "{}"}]
    assert "unsigned" in refused(server, *given)


def test_a_signed_file_that_is_no_graph_is_refused(server: Any) -> None:
    assert "onnxruntime refuses" in refused(server, *parts(b"no graph", version="3.0.0"))


def test_a_signed_graph_of_other_inputs_is_refused(server: Any) -> None:
    features = [
        {
            "name": n,
            "title": n,
            "unit": "",
            "low": 0,
            "high": 1,
            "required": True,
            "levels": {},
            "bands": [],
            "codes": [],
        }
        for n in ("a", "b", "c")
    ]
    assert "onnxruntime failed" in refused(server, *parts(version="3.0.0", features=features))


def test_the_name_of_a_published_score_is_refused(server: Any) -> None:
    assert "published score" in refused(server, *parts(name="news2"))


def test_a_version_is_never_changed(server: Any) -> None:
    done(server, "model-register", *parts())
    answer = post(server, "model-register", *parts(title="Another"))
    assert answer.status_code == 409


def test_promotion_and_rollback_hold_at_once(server: Any, patient: str) -> None:
    assert version_of(ask(server, patient)) == "1.0.0"
    before = ask(server, patient)["risk"][0]["prediction"][0]["probabilityDecimal"]
    serves = done(server, "model-promote", name=NAME, version="2.0.0")
    assert (serves["champion"], serves["previous"]) == ("2.0.0", "1.0.0")
    assert version_of(ask(server, patient)) == "2.0.0"
    assert ask(server, patient)["risk"][0]["prediction"][0]["probabilityDecimal"] > before
    assert done(server, "model-rollback", name=NAME)["champion"] == "1.0.0"
    assert version_of(ask(server, patient)) == "1.0.0"


def test_a_canary_is_shown_to_its_share_of_the_patients_and_always_the_same(server: Any) -> None:
    drawn = {str(n) for n in range(2000) if in_canary(NAME, str(n), 20)}
    assert 330 < len(drawn) < 470
    assert drawn <= {str(n) for n in range(2000) if in_canary(NAME, str(n), 50)}
    done(server, "model-promote", name=NAME, version="2.0.0", alias="challenger", canary=50)
    people = [store(server.client, person(50)) for _ in range(8)]
    for one in people:
        wanted = "2.0.0" if in_canary(NAME, one.removeprefix("Patient/"), 50) else "1.0.0"
        found = ask(server, one)
        assert version_of(found) == wanted
        assert any("on trial" in each["text"] for each in found["risk"][0]["note"]) == (wanted == "2.0.0")


def test_a_challenger_without_a_canary_is_a_shadow_that_nobody_sees(server: Any, patient: str) -> None:
    done(server, "model-promote", name=NAME, version="2.0.0", alias="challenger")
    found = ask(server, patient)
    assert "2.0.0" not in json.dumps(found, default=str)
    roles = {(each["version"], each["role"]) for each in kept(server)}
    assert {("1.0.0", "champion"), ("2.0.0", "shadow")} <= roles


def kept(server: Any) -> list[Any]:
    async def read() -> list[Any]:
        host = server.app.assembly.hosts["fhir_ai"]
        await host.shared["recorder"].flush()
        ctx = await host.context("default")
        return [record.value for record in await ctx.store.find("fhir_ai.predictions", limit=1000)]

    found: list[Any] = server._portal.call(read)
    return found


def test_what_was_said_is_kept_once_a_day_for_a_patient(server: Any) -> None:
    someone = store(server.client, person(70, "female"))
    for _ in range(3):
        ask(server, someone)
    (said,) = [e for e in kept(server) if e["patient"] == someone.removeprefix("Patient/") and e["role"] == "champion"]
    assert said["values"]["creatinine"] is None
    assert said["groups"] == {"sex": "female", "age": "65-79"} or "sex" not in said["groups"]
    assert said["due"] - said["at"] == 30 * 86_400_000


def test_a_call_without_an_answer_does_not_take_the_place_of_an_answer(server: Any) -> None:
    someone = store(server.client, person(70, "female"))
    ask(server, someone)
    store(server.client, measured(someone, "2160-0", 5.0, "kg"))
    client = server.client
    nonsense = {
        "name": "input",
        "part": [{"name": "name", "valueCode": "age"}, {"name": "value", "valueString": "old"}],
    }
    call(client, f"{someone}/$risk-assess", {"name": "model", "valueCode": NAME}, nonsense)
    done(server, "model-stop", name=NAME, version="1.0.0", because="a trial")
    ask(server, someone)
    done(server, "model-resume", name=NAME, version="1.0.0")
    found = [e for e in kept(server) if e["patient"] == someone.removeprefix("Patient/") and e["role"] == "champion"]
    assert sorted((each["kind"], each["probability"] is None) for each in found) == [("", False), ("input", True)]


def test_a_stopped_model_gives_way_to_the_published_score(server: Any, patient: str) -> None:
    done(server, "model-stop", name=NAME, version="1.0.0", because="creatinine drifted")
    found = ask(server, patient)
    (left,) = found["not-computed"]
    assert left["code"] == "unavailable"
    assert "creatinine drifted" in left["because"]
    assert found["risk"][0]["method"]["coding"][0]["code"] == "ckd_epi_2021"
    done(server, "model-resume", name=NAME, version="1.0.0")
    assert version_of(ask(server, patient)) == "1.0.0"


def test_a_graph_that_was_changed_on_disk_is_noticed_when_it_is_loaded(server: Any, patient: str) -> None:
    done(server, "model-register", *parts(version="4.0.0"))
    host = server.app.assembly.hosts["fhir_ai"]
    entry = host.shared["models:default"].pop("tiny@4.0.0")
    server._portal.call(tamper, server, entry.blob)
    answer = post(server, "model-promote", name=NAME, version="4.0.0")
    assert answer.status_code == 422
    assert "SHA-256" in answer.text or "cannot be read" in answer.text
    assert version_of(ask(server, patient)) == "1.0.0"


async def tamper(server: Any, blob: str) -> None:
    """Change one byte of the graph where the engine keeps it."""
    ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
    attached = ctx.core.store.blobs.attached
    attached[blob] = attached[blob][:-1] + b"!"


def test_the_champion_is_not_retired_and_a_retired_version_does_not_serve(server: Any) -> None:
    assert post(server, "model-retire", name=NAME, version="1.0.0").status_code == 400
    done(server, "model-register", *parts(version="5.0.0"))
    assert done(server, "model-retire", name=NAME, version="5.0.0")["state"] == "retired"
    assert post(server, "model-promote", name=NAME, version="5.0.0").status_code == 400
    assert post(server, "model-promote", name=NAME, version="9.9.9").status_code == 404


def test_a_stored_prediction_names_the_device_and_the_card_of_its_version(server: Any, patient: str) -> None:
    (risk,) = ask(server, patient, persist=True)["risk"]
    device = server.client.get(f"/fhir/{risk['performer']['reference']}").json()
    assert device["deviceName"][0]["name"] == NAME
    assert device["version"][0]["value"] == "1.0.0"
    assert "learned" in device["type"]["text"]
    provenance = server.client.get(f"/fhir/Provenance?target=RiskAssessment/{risk['id']}").json()["entry"][0][
        "resource"
    ]
    assert provenance["agent"][0]["who"] == {"reference": risk["performer"]["reference"]}
    card = next(each["what"]["reference"] for each in provenance["entity"] if each["role"] == "derivation")
    document = server.client.get(f"/fhir/{card}").json()
    assert document["type"]["text"] == "AIModelCard"
    again = ask(server, patient, persist=True)["risk"][0]
    assert again["performer"]["reference"] == risk["performer"]["reference"]


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("model-promote", {"name": NAME, "version": "1.0.0", "alias": "king"}),
        ("model-promote", {"name": NAME, "version": "2.0.0", "alias": "challenger", "canary": 101}),
        ("model-promote", {"name": NAME, "version": "1.0.0", "alias": "challenger"}),
        ("model-promote", {"name": NAME, "version": "1.0.0", "canary": 5}),
    ],
)
def test_nonsense_is_refused(server: Any, operation: str, given: dict[str, Any]) -> None:
    assert post(server, operation, **given).status_code == 400


def test_a_release_that_ships_another_version_serves_it(server: Any) -> None:
    """The champion of before the release is neither shipped any more nor registered."""

    async def before() -> None:
        ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
        await ctx.store.put(Aliases("support2-30d", "0.9.0", previous=("0.8.0",)).put())

    server._portal.call(before)
    listed = outputs(post(server, "model-list", {"name": "name", "valueCode": "support2-30d"}).json())["model"]
    assert [(each["version"], each["state"]) for each in listed] == [("1.1.0", "champion")]


def test_a_version_that_was_retired_by_another_process_does_not_serve(server: Any) -> None:
    done(server, "model-register", *parts(version="6.0.0"))

    async def retire() -> None:
        ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
        found = await records.kept(ctx.store, NAME, "6.0.0")
        await ctx.store.put(replace(found, retired=True).put())

    server._portal.call(retire)
    assert post(server, "model-promote", name=NAME, version="6.0.0").status_code == 400


def test_an_input_that_no_score_has_is_found_under_the_codes_of_the_manifest(server: Any) -> None:
    features = [
        {**each, "name": "procalcitonin", "unit": "ng/mL", "high": 9000, "codes": ["33959-8"]}
        if each["name"] == "creatinine"
        else each
        for each in manifest(b"")["features"]
    ]
    done(server, "model-register", *parts(name="sepsis", features=features))
    done(server, "model-promote", name="sepsis", version="1.0.0")
    someone = store(server.client, person(60, "male"))
    store(server.client, measured(someone, "33959-8", 2, "ug/L"))
    (risk,) = ask(server, someone, "sepsis")["risk"]
    assert any(each["text"].startswith("procalcitonin = 2") for each in risk["note"])
    assert len(risk["basis"]) == 2
