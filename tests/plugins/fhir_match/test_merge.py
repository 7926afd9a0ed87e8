"""`$merge` makes one record of two, whole or not at all; `$unmerge` takes it back where nobody wrote since."""

from typing import Any

import httpx
import pytest
from fhir_match.mentions import PLACES, mentioned_patient

from fhir_server.definitions import load
from fhir_server.search.parameters import ParameterRegistry
from tests.plugins.fhir_match.conftest import patient, stored

MRN = {"system": "http://hospital.example/mrn", "value": "1"}
OTHER = {"system": "http://hospital.example/mrn", "value": "2"}


async def two(http: httpx.AsyncClient) -> tuple[str, str]:
    source = await stored(http, patient("Meier", identifier=[MRN], active=True))
    return source, await stored(http, patient("Meyer", identifier=[OTHER], telecom=[{"system": "phone", "value": "5"}]))


def asked(source: str, target: str, **more: Any) -> dict[str, Any]:
    parts = [
        {"name": "source-patient", "valueReference": {"reference": f"Patient/{source}"}},
        {"name": "target-patient", "valueReference": {"reference": f"Patient/{target}"}},
    ]
    if "preview" in more:
        parts.append({"name": "preview", "valueBoolean": more["preview"]})
    if "result" in more:
        parts.append({"name": "result-patient", "resource": more["result"]})
    return {"resourceType": "Parameters", "parameter": parts}


async def call(http: httpx.AsyncClient, name: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(f"/Patient/${name}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = {}
    for part in answer.json()["parameter"]:
        value = part.get("resource", part.get("valueReference"))
        if part["name"] == "left":
            found.setdefault("left", []).append(value["reference"])
        else:
            found[part["name"]] = value
    return found


async def read(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await http.get(f"/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def observation(of: str, **more: Any) -> dict[str, Any]:
    code = {"text": "weight"}
    return {"resourceType": "Observation", "status": "final", "code": code, "subject": {"reference": of}, **more}


async def test_what_refers_to_the_source_refers_to_the_target(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    weight = await stored(http, observation(f"Patient/{source}", performer=[{"reference": f"Patient/{source}"}]))
    absolute = await stored(http, observation(f"http://test/fhir/Patient/{source}"))
    untouched = await stored(http, observation(f"Patient/{target}"))
    answer = await call(http, "merge", asked(source, target))
    assert "3 references in 2 resources" in answer["outcome"]["issue"][0]["diagnostics"]
    moved = await read(http, f"Observation/{weight}")
    assert moved["subject"] == moved["performer"][0] == {"reference": f"Patient/{target}"}
    assert (await read(http, f"Observation/{absolute}"))["subject"]["reference"] == f"http://test/fhir/Patient/{target}"
    assert (await read(http, f"Observation/{untouched}"))["meta"]["versionId"] == "1"
    count = (await read(http, f"Observation?subject=Patient/{target}&_summary=count"))["total"]
    assert count == 3


async def test_both_patients_say_what_became_of_them(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    answer = await call(http, "merge", asked(source, target))
    gone, kept = await read(http, f"Patient/{source}"), await read(http, f"Patient/{target}")
    assert (gone["active"], gone["link"]) == (
        False, [{"other": {"reference": f"Patient/{target}"}, "type": "replaced-by"}],
    )  # fmt: skip
    assert kept["link"] == [{"other": {"reference": f"Patient/{source}"}, "type": "replaces"}]
    assert kept["identifier"] == [OTHER, {**MRN, "use": "old"}]
    assert answer["result"] == kept
    told = (await read(http, f"Provenance?target=Patient/{target}"))["entry"][0]["resource"]
    assert told["activity"]["coding"][0]["code"] == "merge"
    assert {each["reference"] for each in told["target"]} == {
        f"Patient/{source}/_history/2", f"Patient/{target}/_history/2",
    }  # fmt: skip


async def test_decimals_keep_their_digits(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    raw = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.20},'
        f'"subject":{{"reference":"Patient/{source}"}}}}'
    )
    made = await http.post("/Observation", content=raw, headers={"content-type": "application/fhir+json"})
    await call(http, "merge", asked(source, target))
    assert '"value":1.20' in (await http.get(f"/Observation/{made.json()['id']}")).text


async def test_undo_restores_everything_that_nobody_wrote_since(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    ids = [await stored(http, observation(f"Patient/{source}", note=[{"text": str(n)}])) for n in range(5)]
    before = [await read(http, f"Patient/{source}"), await read(http, f"Patient/{target}")]
    await call(http, "merge", asked(source, target))
    changed = {**await read(http, f"Observation/{ids[0]}"), "status": "amended"}
    assert (await http.put(f"/Observation/{ids[0]}", json=changed)).status_code == 200
    assert (await http.delete(f"/Observation/{ids[1]}")).is_success
    later = await stored(http, observation(f"Patient/{target}"))
    answer = await call(http, "unmerge", asked(source, target))
    assert sorted(answer["left"]) == sorted(f"Observation/{each}" for each in ids[:2])
    assert "3 resources refer to the source again" in answer["outcome"]["issue"][0]["diagnostics"]
    for id_ in ids[2:]:
        assert (await read(http, f"Observation/{id_}"))["subject"]["reference"] == f"Patient/{source}"
    for id_ in (ids[0], later):
        assert (await read(http, f"Observation/{id_}"))["subject"]["reference"] == f"Patient/{target}"
    for old in before:
        now = await read(http, f"Patient/{old['id']}")
        assert {**now, "meta": None} == {**old, "meta": None}


async def test_undo_keeps_what_was_written_to_the_target_since(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    await call(http, "merge", asked(source, target))
    third = {"system": "http://other.example", "value": "3"}
    now = await read(http, f"Patient/{target}")
    now |= {"identifier": [*now["identifier"], third], "gender": "female"}
    assert (await http.put(f"/Patient/{target}", json=now)).status_code == 200
    await call(http, "unmerge", asked(source, target))
    restored = await read(http, f"Patient/{target}")
    assert (restored["identifier"], restored["gender"], "link" in restored) == ([OTHER, third], "female", False)


async def test_a_merge_is_undone_once(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    body = asked(source, target)
    assert (await http.post("/Patient/$unmerge", json=body)).status_code == 409
    await call(http, "merge", body)
    await call(http, "unmerge", body)
    assert (await http.post("/Patient/$unmerge", json=body)).status_code == 409
    await call(http, "merge", body)
    await call(http, "unmerge", body)


async def test_a_chain_of_merges_is_undone_from_its_end(http: httpx.AsyncClient) -> None:
    first, second = await two(http)
    third = await stored(http, patient())
    seen = await stored(http, observation(f"Patient/{first}"))
    await call(http, "merge", asked(first, second))
    await call(http, "merge", asked(second, third))
    refused = await http.post("/Patient/$unmerge", json=asked(first, second))
    assert (refused.status_code, "undo that first" in refused.text) == (409, True)
    await call(http, "unmerge", asked(second, third))
    answer = await call(http, "unmerge", asked(first, second))
    assert answer["left"] == [f"Observation/{seen}"], "it was written since, by the second merge and its undoing"


async def test_preview_changes_nothing(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    weight = await stored(http, observation(f"Patient/{source}"))
    answer = await call(http, "merge", asked(source, target, preview=True))
    assert "would refer" in answer["outcome"]["issue"][0]["diagnostics"]
    assert answer["result"]["link"][0]["type"] == "replaces"
    for path in (f"Observation/{weight}", f"Patient/{source}", f"Patient/{target}"):
        assert (await read(http, path))["meta"]["versionId"] == "1"


async def test_patients_are_named_by_identifiers(http: httpx.AsyncClient) -> None:
    source, _ = await two(http)
    parts = [
        {"name": "source-patient-identifier", "valueIdentifier": MRN},
        {"name": "target-patient-identifier", "valueIdentifier": OTHER},
    ]
    await call(http, "merge", {"resourceType": "Parameters", "parameter": parts})
    assert (await read(http, f"Patient/{source}"))["active"] is False


async def test_a_result_patient_is_what_is_stored(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    link = [{"other": {"reference": f"Patient/{source}"}, "type": "replaces"}]
    wanted = patient("Meyer-Meier", id=target, identifier=[MRN, OTHER], link=link)
    answer = await call(http, "merge", asked(source, target, result=wanted))
    assert {**answer["result"], "meta": None} == {**wanted, "meta": None}


async def test_documents_and_provenance_stay_as_they_were(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    agent = [{"who": {"display": "somebody"}}]
    told = await stored(
        http,
        {"resourceType": "Provenance", "target": [{"reference": f"Patient/{source}"}], "agent": agent,
         "recorded": "2020-01-01T00:00:00Z"},
    )  # fmt: skip
    answer = await call(http, "merge", asked(source, target))
    assert any("Provenance" in issue["diagnostics"] for issue in answer["outcome"]["issue"])
    assert (await read(http, f"Provenance/{told}"))["target"][0]["reference"] == f"Patient/{source}"


async def test_a_mention_without_a_search_parameter_of_r4_moves_too(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    condition = {
        "resourceType": "Condition", "subject": {"reference": f"Patient/{target}"},
        "recorder": {"reference": f"Patient/{source}"},
    }  # fmt: skip
    known = await stored(http, condition)
    await call(http, "merge", asked(source, target))
    assert (await read(http, f"Condition/{known}"))["recorder"]["reference"] == f"Patient/{target}"


def test_every_place_of_the_tables_is_found_by_the_index() -> None:
    facts = load()
    registry = ParameterRegistry.standard().with_custom([mentioned_patient()])
    for type_, links in facts.patient_mentions.items():
        expressions = " | ".join(
            parameter.expression or ""
            for parameter in registry.indexed(type_).values()
            if parameter.type == "reference"
        )
        for link in links:
            place = f"{type_}.{link.expression}"
            # what a Bundle or a Provenance says stays as it is
            assert place in expressions or place in PLACES or type_ in ("Bundle", "Provenance"), place


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"parameter": []}, 400, "name the source"),
        (asked("a", "a"), 422, "there is no Patient/a"),
        (asked("../x", "a"), 400, "source-patient"),
        ({"parameter": [{"name": "source-patient", "valueReference": {"reference": "Group/1"}},
                        {"name": "target-patient", "valueReference": {"reference": "Patient/1"}}]}, 400, "Patient"),
        ({"parameter": [{"name": "source-patient-identifier", "valueIdentifier": {"system": "http://x"}},
                        {"name": "target-patient-identifier", "valueIdentifier": OTHER}]}, 400, "needs a value"),
        ({"parameter": [{"name": "source-patient-identifier", "valueIdentifier": {"value": "nobody"}},
                        {"name": "target-patient-identifier", "valueIdentifier": OTHER}]}, 422, "no patient has"),
        ({"parameter": [{"name": "source-patient", "valueString": "Patient/1"}]}, 400, "Reference"),
        ({"parameter": [{"name": "subject", "valueString": "x"}]}, 400, "subject"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_with_the_parameter(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, said: str
) -> None:
    answer = await http.post("/Patient/$merge", json={"resourceType": "Parameters", **body})
    assert answer.status_code == status, answer.text
    assert said in answer.text


async def test_one_that_gave_way_is_not_merged_again(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    third = await stored(http, patient())
    same = await http.post("/Patient/$merge", json=asked(source, source))
    assert (same.status_code, "the same patient" in same.text) == (409, True)
    await call(http, "merge", asked(source, target))
    for pair in ((source, third), (third, source)):
        answer = await http.post("/Patient/$merge", json=asked(*pair))
        assert (answer.status_code, "gave way" in answer.text) == (409, True)


async def test_a_wrong_result_patient_is_refused_with_all_faults(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    answer = await http.post("/Patient/$merge", json=asked(source, target, result=patient(id=source, active=False)))
    assert answer.status_code == 422
    assert {each["expression"][0] for each in answer.json()["issue"]} == {
        "Patient.id", "Patient.link", "Patient.active",
    }  # fmt: skip
    assert (await read(http, f"Patient/{source}"))["meta"]["versionId"] == "1"
