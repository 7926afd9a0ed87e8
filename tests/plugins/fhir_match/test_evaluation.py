"""How well people are found again, on made-up second records; docs/match.md publishes a larger run."""

import httpx

from tests.plugins.fhir_match.evaluation import evaluate


async def test_certain_is_right_and_most_are_found(http: httpx.AsyncClient) -> None:
    result = await evaluate(http, people=1_500, questions=300)
    assert result.wrong["certain"] == 0
    assert result.precision("certain", "probable") >= 0.99
    assert result.recall("certain") >= 0.93
    assert result.recall("certain", "probable", "possible") >= 0.98
