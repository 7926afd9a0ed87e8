"""How well `$match` finds people again: `python -m tests.plugins.fhir_match.evaluation 20000 2000` prints the table."""

import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from fhir_server.app import create_app
from fhir_server.settings import Settings
from tests.plugins.fhir_match.conftest import found
from tests.plugins.fhir_match.population import Person, Population

_BATCH = 500
GRADES = ("certain", "probable", "possible")


@dataclass(slots=True)
class Result:
    """What came of the questions: by grade, how many answers were right and wrong; how long they took."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    strangers: int = 0
    seconds: list[float] = field(default_factory=list)

    def precision(self, *grades: str) -> float:
        """Return which share of the answers of these grades were the person asked for."""
        right, wrong = (sum(counts[grade] for grade in grades) for counts in (self.right, self.wrong))
        return right / max(1, right + wrong)

    def recall(self, *grades: str) -> float:
        """Return which share of the people were found with one of these grades."""
        return sum(self.right[grade] for grade in grades) / max(1, self.asked)


async def evaluate(http: httpx.AsyncClient, people: int, questions: int, seed: int = 1) -> Result:
    """Store people, then ask for second records of some, and for some who are not there but whose relatives may be."""
    population = Population(seed)
    known = list(population.people(people))
    strangers = {person.number for person in known[:: max(1, people // (questions // 2))]}
    stored = [person for person in known if person.number not in strangers]
    ids = await _store(http, stored)
    result = Result()
    step = max(1, len(stored) // questions)
    for person in stored[::step][:questions]:
        await _ask(http, population.second_record(person), ids[person.number], result)
        result.asked += 1
    for number in strangers:
        await _ask(http, population.second_record(known[number]), "", result)
        result.strangers += 1
    return result


async def _store(http: httpx.AsyncClient, people: list[Person]) -> dict[int, str]:
    ids = {}
    for start in range(0, len(people), _BATCH):
        some = people[start : start + _BATCH]
        entries = [{"resource": each.resource(), "request": {"method": "POST", "url": "Patient"}} for each in some]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await http.post("", json=bundle, timeout=60)
        assert answer.status_code == 200, answer.text[:500]
        for person, entry in zip(some, answer.json()["entry"], strict=True):
            ids[person.number] = entry["response"]["location"].split("Patient/")[1].split("/")[0]
    return ids


async def _ask(http: httpx.AsyncClient, person: Person, id_: str, result: Result) -> None:
    began = time.perf_counter()
    matches = await found(http, person.resource())
    result.seconds.append(time.perf_counter() - began)
    for match in matches:
        (result.right if match["id"] == id_ else result.wrong)[match["grade"]] += 1


async def main(people: int, questions: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder), durable=False, auth="none", demo=False))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir") as http:
                result = await evaluate(http, people, questions)
    print(f"{people} patients, {result.asked} second records, {result.strangers} strangers")
    for count in (1, 2, 3):
        grades = GRADES[:count]
        print(f"{grades[-1]:10} precision {result.precision(*grades):.4f} recall {result.recall(*grades):.4f}")
    times = sorted(result.seconds)
    print(f"median {statistics.median(times) * 1000:.1f} ms, 99 % {times[int(len(times) * 0.99)] * 1000:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
