"""Predictions that are asked for at the same time are one run of the graph, and the same to the digit."""

import asyncio
from collections.abc import Sequence

import pytest
from fhir_ai.models import MODELS, NotComputed, Prediction
from fhir_ai.models.batching import Batches
from fhir_ai.models.errors import ModelUnavailable
from fhir_ai.models.inference import Output

from tests.plugins.fhir_ai.models.patients import ILL


async def test_many_at_once_are_few_runs_with_the_same_answers() -> None:
    runs: list[int] = []

    def run(rows: Sequence[Sequence[float]], within: float) -> list[Output]:
        runs.append(len(rows))
        return [Output(row[0] / 1000, ()) for row in rows]

    batches = Batches("test", run)
    said = await asyncio.gather(*(batches.ask((float(n),), 5) for n in range(300)))
    assert [each.probability for each in said] == [n / 1000 for n in range(300)]
    assert len(runs) <= 3


async def test_a_run_that_fails_fails_for_those_in_it_alone() -> None:
    def run(rows: Sequence[Sequence[float]], within: float) -> list[Output]:
        if rows[0][0] < 0:
            raise ModelUnavailable("broken")
        return [Output(0.5, ()) for _ in rows]

    batches = Batches("test", run)
    with pytest.raises(ModelUnavailable):
        await batches.ask((-1.0,), 5)
    assert (await batches.ask((1.0,), 5)).probability == 0.5


async def test_a_slow_graph_costs_its_time_and_no_more() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(rows: Sequence[Sequence[float]], within: float) -> list[Output]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        return [Output(0.5, ()) for _ in rows]

    batches = Batches("test", run)
    with pytest.raises(ModelUnavailable, match="longer"):
        await batches.ask((1.0,), 0.02)
    gate.set()
    assert (await batches.ask((1.0,), 5)).probability == 0.5


async def test_the_shipped_model_says_the_same_alone_and_among_others() -> None:
    model = MODELS["support2-30d"]
    patients = [{**ILL, "age": 20 + n} for n in range(60)]
    together = await asyncio.gather(*(model.ask(each, 5) for each in patients))
    for each, said in zip(patients, together, strict=True):
        alone = model.predict(each, 5)
        assert isinstance(said, Prediction)
        assert said.probability == pytest.approx(alone.probability, abs=1e-6)
        assert [part.points for part in said.contributions] == pytest.approx(
            [part.points for part in alone.contributions], abs=1e-5
        )
    outside = await model.ask({**ILL, "inpatient": False}, 5)
    assert isinstance(outside, NotComputed)
