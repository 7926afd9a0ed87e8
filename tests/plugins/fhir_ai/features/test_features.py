"""Features at a past instant are those that inference saw then, whatever was corrected, deleted or written since."""

from collections.abc import Iterator
from typing import Any

import pytest
from fhir_ai.features import store as features
from fhir_ai.features.definitions import views_of
from fhir_ai.features.store import Moment
from fhir_ai.features.through import viewed
from fhir_ai.inputs import Finder
from fhir_ai.inputs.record import Record
from fhir_ai.models import MODELS
from fhir_ai.operations.predicting import model_inputs, model_values
from fhir_ai.registry.recorder import PREDICTIONS
from fhir_ai.scores import SCORES

from fhir_server.plugin_api import Where
from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import ago, condition, measured, observed, person, store, vitals
from tests.plugins.fhir_ai.test_risk_assess import ICD10

MODEL = MODELS["support2-30d"]
GIVEN = {"inpatient": True, "disease_group": "chf"}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(plugins={"fhir_ai": {"feature_store": True}}) as found:
        yield found


def context(server: Any) -> Any:
    return server._portal.call(server.app.assembly.hosts["fhir_ai"].context, "default")


def at_inference(server: Any, patient: str) -> Any:
    """Return the values as `$risk-assess` has them now."""

    async def read() -> Any:
        ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
        person_ = await ctx.own.read("Patient", patient.removeprefix("Patient/"))
        whose = [("patient", patient)]
        observations = [each async for each in ctx.own.each("Observation", whose)]
        conditions = [each async for each in ctx.own.each("Condition", whose)]
        medicines = [each async for each in ctx.own.each("MedicationRequest", whose)]
        views = views_of(ctx)
        assert views is not None
        record = Record(person_, ctx.now(), observations, conditions, medicines)
        return model_values(MODEL, viewed(views, Finder(record, GIVEN)))[1]

    return server._portal.call(read)


def at_training(server: Any, patient: str, at: int) -> Any:
    """Return the values as they are read to train on, of an instant."""
    server.settle()
    moment = Moment(patient.removeprefix("Patient/"), at, GIVEN)

    async def read() -> Any:
        ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
        return (await features.vectors(ctx, MODEL, [moment]))[0]

    return server._portal.call(read)


def test_training_reads_what_inference_saw_at_that_instant_whatever_came_after(server: Any) -> None:
    client = server.client
    patient = store(client, person(70, "male"))
    gcs = {**observed(patient, "9269-2"), "valueInteger": 15}
    systolic = {name: measured("", "8480-6", 118, "mm[Hg]")[name] for name in ("code", "valueQuantity")}
    pressure = {**observed(patient, "85354-9"), "component": [systolic]}
    creatinine = store(client, measured(patient, "14682-9", 110, "umol/L"))
    sodium = store(client, measured(patient, "2951-2", 138, "mmol/L"))
    mean, diabetes = measured(patient, "8478-0", 75, "mm[Hg]"), condition(patient, ICD10, "E11.9")
    for each in (*vitals(patient), gcs, pressure, mean, diabetes):
        store(client, each)
    server.clock.go_on(5)  # the time of each commit is a millisecond after the last, also where the clock stands still
    then, seen = server.clock(), at_inference(server, patient)
    assert seen["creatinine"] == pytest.approx(110 / 88.4, rel=1e-3)
    assert (seen["sodium"], seen["gcs"], seen["diabetes"], seen["sex"]) == (138, 15, True, "male")
    assert at_training(server, patient, then) == seen

    server.clock.go_on(1800)
    wrong = measured(patient, "14682-9", 400, "umol/L")
    client.put(f"/fhir/{creatinine}", json={**wrong, "id": creatinine.removeprefix("Observation/")})
    client.delete(f"/fhir/{sodium}")
    store(client, {**measured(patient, "8867-4", 150, "/min"), "effectiveDateTime": ago(0.01)})
    client.put(f"/fhir/{patient}", json={**person(50, "female"), "id": patient.removeprefix("Patient/")})
    server.clock.go_on(5)
    now, afterwards = server.clock(), at_inference(server, patient)
    assert at_training(server, patient, then) == seen
    assert at_training(server, patient, now) == afterwards
    assert "sodium" not in afterwards
    assert (afterwards["heart_rate"], afterwards["sex"]) == (150, "female")


def test_what_was_written_later_about_earlier_is_not_seen_before_it_was_written(server: Any) -> None:
    patient = store(server.client, person(60))
    server.clock.go_on(5)
    before = server.clock()
    server.clock.go_on(3600)
    store(server.client, measured(patient, "2951-2", 140, "mmol/L", hours=2))
    server.clock.go_on(5)
    assert "sodium" not in at_training(server, patient, before)
    assert at_training(server, patient, server.clock())["sodium"] == 140


def test_the_views_give_scores_the_same_inputs_as_the_record_itself(server: Any) -> None:
    patient = {**person(60), "id": "1"}
    codes = [{**each, "id": str(at)} for at, each in enumerate(vitals("Patient/1"))]
    views = views_of(context(server))
    assert views is not None
    plain = Finder(Record(patient, server.clock(), codes, [{**condition("Patient/1", ICD10, "I10"), "id": "c"}]))
    seen = viewed(views, plain)
    for score in SCORES.values():
        for each in score.inputs:
            assert seen.find(each).value == plain.find(each).value, each.name
            assert seen.find(each).reference == plain.find(each).reference


def test_a_change_that_is_delivered_twice_is_kept_once(server: Any) -> None:
    patient = store(server.client, person(60))
    store(server.client, measured(patient, "2951-2", 140, "mmol/L"))
    server.settle()

    async def again() -> tuple[int, int]:
        ctx = await server.app.assembly.hosts["fhir_ai"].context("default")
        count = len(await ctx.store.find(features.ROWS.name, limit=5000))
        changes = []

        class Change:
            def __init__(self, row: Any) -> None:
                self.row, self.key, self.version, self.last_updated = row, row.key, row.version, row.last_updated
                self.body = b"" if row.deleted else row.stamped()

        for version in await ctx.core.store.changes(0):
            if version.key.type in ("Observation", "Patient"):
                changes.append(Change(version))
        await features.materialize(ctx, changes)
        return count, len(await ctx.store.find(features.ROWS.name, limit=5000))

    before, after = server._portal.call(again)
    assert before == after


def test_what_is_kept_of_a_patient_is_erased_with_them(server: Any) -> None:
    patient = store(server.client, person(60))
    store(server.client, measured(patient, "2160-0", 1.1, "mg/dL"))
    server.client.get(f"/fhir/{patient}/$risk-assess?model=thyroid-panel")
    server.settle()
    id_ = patient.removeprefix("Patient/")

    async def kept() -> int:
        host = server.app.assembly.hosts["fhir_ai"]
        await host.shared["recorder"].flush()
        ctx = await host.context("default")
        where = [Where("patient", "=", id_)]
        return sum([len(await ctx.store.find(name, where)) for name in (features.ROWS.name, PREDICTIONS.name)])

    assert server._portal.call(kept) == 3
    answer = server.client.post(f"/fhir/{patient}/$erase")
    assert answer.status_code == 200, answer.text
    server.settle()
    assert server._portal.call(kept) == 0


def test_a_server_without_views_has_scores_and_models_as_before() -> None:
    with serving(plugins_disabled=["fhir_views"]) as without:
        patient = store(without.client, person(60))
        answer = without.client.get(f"/fhir/{patient}/$risk-assess?model=support2-30d")
        assert answer.status_code == 200
        assert views_of(context(without)) is None


def test_every_input_that_a_model_measures_has_a_place_in_the_record() -> None:
    assert {"age", "sex", "creatinine"} <= {each.name for each in model_inputs(MODEL)}
