"""Writers and readers that go on through faults, and what must be true of everything that they were answered."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

SYSTEM = "urn:faults"
_JSON = {"content-type": "application/fhir+json"}
_NOTHING = "nothing was stored"


@dataclass(frozen=True, slots=True)
class Told:
    """What a write was answered. status: 0 where the connection to the node itself broke. nothing: it said so."""

    kind: str
    id: str
    status: int
    nothing: bool = False


@dataclass(slots=True)
class Load:
    """What was written, and how long requests took (monotonic time, seconds, status)."""

    base: str
    name: str = "c"
    told: list[Told] = field(default_factory=list)
    times: list[tuple[float, float, int]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    """By counter: how often it was raised, as far as its writer knows."""
    over: bool = False

    async def run(self, seed: int) -> None:
        """Write and read until it is over."""
        async with httpx.AsyncClient(timeout=60, headers=_JSON) as client:
            jobs = [
                *(self._creates(client, random.Random(seed + number)) for number in range(2)),
                *(self._transactions(client) for _ in range(2)),
                self._conditional(client), self._counts(client, f"{self.name}1"), self._counts(client, f"{self.name}2"),
                self._reads(client),
            ]  # fmt: skip
            await asyncio.gather(*jobs)

    async def _ask(self, client: httpx.AsyncClient, method: str, url: str, **more: Any) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = await client.request(method, self.base + url, **more)
        except httpx.TransportError:
            answer = None
        self.times.append((began, time.monotonic() - began, answer.status_code if answer else 0))
        if answer is None or answer.status_code == 503:
            if answer is not None:
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.json()["issue"][0]["code"] == "transient", answer.text
            await asyncio.sleep(0.1)
        else:
            assert answer.status_code < 500, answer.text
            await asyncio.sleep(0.01)
        return answer

    def _note(self, kind: str, id_: str, answer: httpx.Response | None) -> None:
        if answer is None:
            self.told.append(Told(kind, id_, 0))
        else:
            self.told.append(Told(kind, id_, answer.status_code, _NOTHING in answer.text))

    async def _creates(self, client: httpx.AsyncClient, seeded: random.Random) -> None:
        while not self.over:
            id_ = f"p{seeded.getrandbits(60):x}"
            self._note("POST", id_, await self._ask(client, "POST", "/Patient", json=_patient(id_)))

    async def _conditional(self, client: httpx.AsyncClient) -> None:
        """Create on condition, and again until it is answered, as a client should."""
        while not self.over:
            id_ = uuid4().hex
            header = {"if-none-exist": f"identifier={SYSTEM}|{id_}"}
            answer = None
            while answer is None or answer.status_code == 503:
                answer = await self._ask(client, "POST", "/Patient", json=_patient(id_), headers=header)
                if self.over:
                    return
            self._note("If-None-Exist", id_, answer)

    async def _transactions(self, client: httpx.AsyncClient) -> None:
        while not self.over:
            id_ = uuid4().hex
            entries = [_entry(half, id_) for half in ("left", "right")]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            self._note("transaction", id_, await self._ask(client, "POST", "", json=bundle))

    async def _counts(self, client: httpx.AsyncClient, id_: str) -> None:
        """Raise a counter by PUT with If-Match; where the answer is lost, look before the next."""
        version, value = 0, 0
        while not self.over:
            header = {"if-match": f'W/"{version}"'} if version else {}
            body = {"resourceType": "Basic", "id": id_, "code": {"text": str(value + 1)}}
            answer = await self._ask(client, "PUT", f"/Basic/{id_}", json=body, headers=header)
            if answer is not None and answer.is_success:
                version, value = version + 1, value + 1
                assert answer.headers["etag"] == f'W/"{version}"'
                self.counted[id_] = value
                continue
            there = await self._ask(client, "GET", f"/Basic/{id_}")
            while there is None or there.status_code == 503:
                if self.over:
                    return
                there = await self._ask(client, "GET", f"/Basic/{id_}")
            now = int(there.json()["code"]["text"]) if there.is_success else 0
            assert now in (value, value + 1)
            if answer is not None and _NOTHING in answer.text:
                assert now == value, "it was said that nothing was stored"
            version = value = now
            self.counted[id_] = value

    async def _reads(self, client: httpx.AsyncClient) -> None:
        while not self.over:
            await self._ask(client, "GET", f"/Basic/{self.name}1")
            await self._ask(client, "GET", "/Patient?_count=5")


def _patient(id_: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": id_}]}


def _entry(half: str, id_: str) -> dict[str, Any]:
    resource = {"resourceType": "Basic", "id": f"{half}-{id_}", "code": {"text": "pair"}}
    return {"resource": resource, "request": {"method": "PUT", "url": f"Basic/{half}-{id_}"}}


async def everything(base: str, type_: str) -> list[dict[str, Any]]:
    """Return all resources of a type."""
    found: list[dict[str, Any]] = []
    url: str | None = f"{base}/{type_}?_count=1000"
    async with httpx.AsyncClient(timeout=60) as client:
        while url is not None:
            bundle = (await client.get(url)).raise_for_status().json()
            found += [entry["resource"] for entry in bundle.get("entry", ())]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found


async def log(base: str) -> list[str]:
    """Return the history of the whole record, oldest first, as `Type/id/_history/n`."""
    found: list[str] = []
    url: str | None = f"{base}/_history?_count=1000"
    async with httpx.AsyncClient(timeout=60) as client:
        while url is not None:
            bundle = (await client.get(url)).raise_for_status().json()
            for entry in bundle.get("entry", ()):
                resource = entry["resource"]
                found.append(f"{resource['resourceType']}/{resource['id']}/_history/{resource['meta']['versionId']}")
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found[::-1]


async def check(load: Load) -> None:
    """Hold what is stored against what was answered."""
    patients = [each["identifier"][0]["value"] for each in await everything(load.base, "Patient")]
    basics = {each["id"]: each for each in await everything(load.base, "Basic")}
    for told in load.told:
        if told.kind == "transaction":
            halves = [f"{half}-{told.id}" in basics for half in ("left", "right")]
            assert halves[0] == halves[1], f"half a transaction: {told}"
            times = int(halves[0])
        else:
            times = patients.count(told.id)
        assert times <= 1, f"stored {times} times: {told}"
        assert times == 1 or told.status >= 400 or told.status == 0, f"lost: {told}"
        assert times == 0 or not told.nothing, f"stored, though it was said that it is not: {told}"
    versions = await log(load.base)
    assert len(set(versions)) == len(versions)
    for id_, value in load.counted.items():
        assert int(basics[id_]["code"]["text"]) in (value, value + 1)  # the last one may have been under way at the end
        numbers = [int(each.rpartition("/")[2]) for each in versions if each.startswith(f"Basic/{id_}/")]
        assert numbers == list(range(1, len(numbers) + 1))


def in_order(notes: list[str], versions: list[str]) -> int:
    """Check that a consumer was given all versions of each partition in the order of the log; return how many of them
    twice or more, after somebody else took the lead."""
    places = {version: place for place, version in enumerate(versions)}
    assert set(notes) == set(versions), sorted(set(versions) ^ set(notes))[:5]
    first: dict[str, int] = {}
    for note in notes:
        first.setdefault(note, len(first))
    by_resource: dict[str, list[int]] = {}
    for note in first:
        by_resource.setdefault(note.rpartition("/_history/")[0], []).append(places[note])
    assert all(found == sorted(found) for found in by_resource.values())
    return len(notes) - len(first)
